"""All commands of customers."""

import importlib
import os
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from reelgate_client.cli import account, doctor, hooks, jobs, run, trigger
from reelgate_client.cli.exits import CommandError, guarded
from reelgate_client.cli.output import program

SHELLS = ("bash", "fish", "zsh")
SECTIONS: Mapping[str, Sequence[str]] = {
    "Videos": ("run", "jobs", "estimate", "models"),
    "Account": ("login", "logout", "whoami", "balance", "usage"),
    "Webhooks": ("webhooks", "trigger"),
    "Help": ("doctor", "completion"),
}
COMMANDS = frozenset(name for names in SECTIONS.values() for name in names)


def grouped(sections: Mapping[str, Sequence[str]]) -> type[TyperGroup]:
    """Returns a kind of group whose help lists commands in sections; those that none names come last."""

    class Grouped(TyperGroup):
        def format_commands(self, ctx: Any, formatter: Any) -> None:
            found = {name: self.commands[name] for name in self.list_commands(ctx)}
            named = {name for names in sections.values() for name in names}
            others = {"Commands": [name for name in found if name not in named]}
            width = formatter.width - 6 - max(map(len, found))
            for title, names in {**sections, **others}.items():
                rows = [(name, found[name].get_short_help_str(width)) for name in names if name in found]
                if rows:
                    with formatter.section(title):
                        formatter.write_dl(rows)

    return Grouped


def add_commands(app: typer.Typer) -> None:
    """Adds the commands of customers to an app."""
    for module in (run, account, trigger, doctor):
        module.add_to(app)
    app.add_typer(jobs.app, name="jobs")
    app.add_typer(hooks.app, name="webhooks")
    app.command()(completion)


@guarded
def completion(shell: Annotated[str, typer.Argument(help="bash, fish or zsh.")]) -> None:
    """Print what makes a shell complete commands: eval "$(reelgate-client completion bash)"."""
    if shell not in SHELLS:
        raise CommandError(f"{shell!r} is none of {', '.join(SHELLS)}")
    name = program()
    shells: Any = importlib.import_module("typer.completion")
    typer.echo(
        shells.get_completion_script(prog_name=name, complete_var=completion_variable(name), shell=shell)
    )


def completion_variable(name: str) -> str:
    """Returns the variable by which a shell asks a command what can follow."""
    return f"_{name.replace('-', '_').upper()}_COMPLETE"


def prepare_completion() -> None:
    """Teaches typer its shells, if a shell asks."""
    if completion_variable(program()) in os.environ:
        importlib.import_module("typer.completion").completion_init()


app = typer.Typer(
    name="reelgate-client",
    help="Make videos, follow them, and get their webhooks.",
    cls=grouped(SECTIONS),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
add_commands(app)
