"""The `reelgate` command."""

import os
import sys
from collections.abc import Sequence

import typer
from reelgate_client.cli import app as customers

from services.cli.commands import (
    account,
    audit,
    catalogue,
    check,
    credential,
    credit,
    event,
    generate,
    job,
    key,
    ledger,
    mcp,
    price,
    report,
    route,
    secrets,
    statement,
)
from services.cli.errors import CommandError
from services.cli.local import commands as stack
from services.cli.local.lookup import StackError
from services.cli.options import Tls, choose_tls
from services.common.errors import ServiceError

SECTIONS = {
    "Local stack": ("up", "down", "status", "logs", "migrate", "check", "generate", "mcp"),
    "Operators": (
        "account", "key", "secrets", "credits", "price", "catalogue", "job", "route", "credential", "event", "audit",
        "ledger", "report", "statement",
    ),
}  # fmt: skip
app = typer.Typer(
    name="reelgate",
    help="Administer Reelgate, make videos, and run a local stack.",
    cls=customers.grouped({**SECTIONS, **customers.SECTIONS}),
    no_args_is_help=True,
    add_completion=False,
    # Plain help and errors: short to read and fast to load.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
GROUPS = {
    "account": account.app,
    "key": key.app,
    "secrets": secrets.app,
    "credits": credit.app,
    "price": price.app,
    "catalogue": catalogue.app,
    "job": job.app,
    "route": route.app,
    "credential": credential.app,
    "event": event.app,
    "audit": audit.app,
    "ledger": ledger.app,
    "report": report.app,
}
for module in (stack, generate, statement, check, mcp):
    module.add_to(app)
for name, group in GROUPS.items():
    app.add_typer(group, name=name)
customers.add_commands(app)


@app.callback()
def reelgate(tls: Tls = None) -> None:
    """Reads the options of all commands that call a service's admin port."""
    choose_tls(tls)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command. Exits with 0 on success, 1 if it is refused or fails, 2 if it is not understood."""
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # our own errors say what a person needs to know
    customers.prepare_completion()
    try:
        app(args=arguments, prog_name="reelgate")
    except (ServiceError, CommandError, StackError, OSError) as error:
        detail = isinstance(error, ServiceError) and error.detail
        typer.echo(f"Error: {error} ({detail})" if detail else f"Error: {error}", err=True)
        sys.exit(1)
