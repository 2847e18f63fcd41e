"""The `reelgate` command."""

import sys
from collections.abc import Sequence

import typer

from services.common.errors import ServiceError
from services.devstack import account_commands, generate_command, stack_commands
from services.devstack.errors import StackError

app = typer.Typer(
    name="reelgate",
    help="Run Reelgate on this machine, look after its accounts, and generate videos.",
    no_args_is_help=True,
    add_completion=False,
    # Plain help and errors: one line to read, and nothing heavy to load.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
stack_commands.add_to(app)
account_commands.add_to(app)
generate_command.add_to(app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command. Exits with 0 when it is done, 1 when it is refused or fails, 2 when it is not understood."""
    try:
        app(args=arguments)
    except (ServiceError, StackError, OSError) as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(1)
