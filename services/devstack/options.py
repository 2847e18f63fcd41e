"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from services.devstack.credit_amounts import parse_credits
from services.devstack.state import require_running

DATA_DEFAULT = Path(".reelgate")
Data = Annotated[
    Path,
    typer.Option("--data", envvar="REELGATE_DATA", resolve_path=True, help="Folder of the local stack."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Billing = Annotated[
    str | None,
    typer.Option(
        "--billing",
        envvar="REELGATE_BILLING",
        metavar="HOST:PORT",
        help="Internal port of billing, where it is not the local stack's.",
    ),
]
Webhooks = Annotated[
    str | None,
    typer.Option(
        "--webhooks",
        envvar="REELGATE_WEBHOOKS",
        metavar="HOST:PORT",
        help="Internal port of webhooks, where it is not the local stack's.",
    ),
]


def micros(text: str) -> int:
    """Reads an amount of credits as micro-credits. A bad one is a usage error."""
    try:
        return parse_credits(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def internal_address(given: str | None, *, service: str, root: Path) -> str:
    """Returns the given address, or that of the local stack. Raises StackError when there is neither."""
    return given or require_running(root).grpc[service]["internal"]
