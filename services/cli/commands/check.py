"""The command that looks at an installation before traffic comes."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from services.cli.errors import CommandError
from services.cli.local import lookup
from services.cli.options import DATA_DEFAULT, Data

SERVICES = ("billing", "webhooks", "jobs")


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    app.command()(check)


def check(
    services: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SERVICE]...", help="billing, webhooks, jobs; all by default."),
    ] = None,
    data: Data = DATA_DEFAULT,
) -> None:
    """Look at settings, databases, certificates, neighbours, providers and the media store. Exits with 1 if something is wrong.

    Takes the settings of the environment, as in a pod or container of the service; without any, those of the local stack.
    """
    chosen = services or list(SERVICES)
    unknown = [name for name in chosen if name not in SERVICES]
    if unknown:
        raise typer.BadParameter(f"{unknown[0]} is not a service: choose from {', '.join(SERVICES)}")
    codes = [
        subprocess.run(  # noqa: S603  our own program
            [sys.executable, "-m", f"services.{name}", "check"], env=dict(environment), check=False
        ).returncode
        for name, environment in _environments(chosen, data).items()
    ]
    if any(codes):
        raise typer.Exit(1)


def _environments(chosen: list[str], data: Path) -> Mapping[str, Mapping[str, str]]:
    given = [
        name for name in chosen if f"{name.upper()}_DATABASE_URL" in {_named(each) for each in os.environ}
    ]
    if given:
        return dict.fromkeys(given, os.environ)
    found = lookup.environments(data)
    missing = [name for name in chosen if name not in found]
    if missing:
        raise CommandError(f"{missing[0]} does not run in the stack on {data}.")
    return {name: found[name] for name in chosen}


def _named(variable: str) -> str:
    return variable.removesuffix("_FILE")
