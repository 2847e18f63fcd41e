"""How usage rules are typed and shown, for accounts and for keys."""

from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.printing import fields_of

if TYPE_CHECKING:
    from reelgate.admin.v1.account_pb2 import AccountRules
    from reelgate.admin.v1.key_admin_service_pb2 import KeyRules


COUNT_MAX = 100_000
ACCOUNT_HEADINGS = ("jobs at once", "moderation profile")
KEY_HEADINGS = ("kind", "calls per minute", "jobs at once", "moderation profiles")
DEFAULT = "default"

JobsAtOnce = Annotated[
    int | None, typer.Option(min=1, max=COUNT_MAX, help="Most jobs at providers at the same time.")
]
CallsPerMinute = Annotated[
    int | None, typer.Option(min=1, max=COUNT_MAX, help="Most calls in any 60 seconds.")
]


def account_cells(rules: "AccountRules") -> tuple[str, ...]:
    """Returns the cells of a row under ACCOUNT_HEADINGS."""
    return str(rules.jobs_at_once or DEFAULT), rules.moderation_profile or DEFAULT


def key_cells(rules: "KeyRules") -> tuple[str, ...]:
    """Returns the cells of a row under KEY_HEADINGS."""
    return (
        fields_of(rules)["kind"] or DEFAULT,
        str(rules.calls_per_minute or DEFAULT),
        str(rules.jobs_at_once or DEFAULT),
        ", ".join(rules.moderation_profiles) or "none",
    )
