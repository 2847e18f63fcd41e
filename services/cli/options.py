"""Options that several commands share."""

import getpass
import os
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.admin.target import AdminTarget
from services.cli.credit_amounts import parse_credits
from services.cli.durations import parse_duration
from services.cli.local import lookup

if TYPE_CHECKING:
    from reelgate.admin.v1.audit_pb2 import AuditNote

LIST_MAX = 1_000
LIST_DEFAULT = 100
DATA_DEFAULT = Path(".reelgate")
Data = Annotated[
    Path,
    typer.Option("--data", envvar="REELGATE_DATA", resolve_path=True, help="Folder of the local stack."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AccountId = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Identifier of the account.")]
KeyId = Annotated[str, typer.Argument(metavar="KEY", help="Identifier of the key.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; stored with the change.")]
Tls = Annotated[
    Path | None,
    typer.Option(
        "--tls",
        envvar="REELGATE_TLS",
        resolve_path=True,
        help="Folder with the operator's tls.crt, tls.key and ca.crt; by default the local stack's.",
    ),
]
Actor = Annotated[
    str | None,
    typer.Option(
        "--actor", envvar="REELGATE_ACTOR", help="Who makes the change; by default the logged-in user."
    ),
]
Limit = Annotated[int, typer.Option("--limit", min=1, max=LIST_MAX, help="Maximum number of entries.")]


def _address(service: str) -> object:
    return typer.Option(
        f"--{service}",
        envvar=f"REELGATE_{service.upper()}",
        metavar="HOST:PORT",
        help=f"Admin port of {service}; by default the local stack's. See `reelgate --tls`.",
    )


Billing = Annotated[str | None, _address("billing")]
Jobs = Annotated[str | None, _address("jobs")]
Webhooks = Annotated[str | None, _address("webhooks")]


_tls: ContextVar[Path | None] = ContextVar("tls", default=None)


class Environment(StrEnum):
    """Which environment a key or a balance belongs to."""

    LIVE = "live"
    TEST = "test"


@dataclass(frozen=True)
class SpendLimit:
    """A spend limit that was typed."""

    micros: int | None
    """None removes the limit."""


def micros(text: str) -> int:
    """Reads an amount of credits as micro-credits. A bad one is a usage error."""
    try:
        return parse_credits(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def spend_limit(text: str) -> SpendLimit:
    """Reads an amount of credits, or `none`. A bad one is a usage error."""
    return SpendLimit(None if text == "none" else micros(text))


def seconds(text: str) -> int:
    """Reads a duration as seconds. A bad one is a usage error."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def note(actor: str | None, reason: str) -> "AuditNote":
    """Returns who changes something, and why."""
    from reelgate.admin.v1.audit_pb2 import AuditNote

    return AuditNote(actor=actor or _login_name(), reason=reason)


def choose_tls(folder: Path | None) -> None:
    """Makes the command use the certificate in this folder; None: the local stack's."""
    _tls.set(folder)


def admin_target(given: str | None, *, service: str, root: Path) -> AdminTarget:
    """Returns the admin port at `given`, or that of the local stack. Raises StackError if there is neither.

    The certificate is that of `choose_tls`, or the local stack's.
    """
    address = given or lookup.admin_address(service, root=root)
    return AdminTarget(address=address, tls=_tls.get() or lookup.operator_tls(root))


def command_group(text: str) -> typer.Typer:
    """Returns a group that commands are added to."""
    return typer.Typer(help=text, no_args_is_help=True, rich_markup_mode=None)


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # In a container the user may have no name.
        return f"uid {os.getuid()}"
