"""How rules of use are typed and shown, for accounts and for keys."""

from typing import Annotated

import typer

from services.cli.admin.records import AccountRules, KeyRules

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


def account_cells(rules: AccountRules) -> tuple[str, ...]:
    """Returns rules as they stand under ACCOUNT_HEADINGS."""
    return _count(rules.jobs_at_once), rules.moderation_profile or DEFAULT


def key_cells(rules: KeyRules) -> tuple[str, ...]:
    """Returns rules as they stand under KEY_HEADINGS."""
    return (
        rules.kind or DEFAULT,
        _count(rules.calls_per_minute),
        _count(rules.jobs_at_once),
        ", ".join(rules.moderation_profiles) or "none",
    )


def _count(most: int | None) -> str:
    return DEFAULT if most is None else str(most)
