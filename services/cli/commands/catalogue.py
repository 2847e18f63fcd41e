"""Commands about the file that says which models there are, and who renders them."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from services.cli.options import command_group

app = command_group("Look at the file of models, routes and credentials.")


@app.command("check")
def check(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A catalogue file, such as the one you are about to put in place."
        ),
    ],
) -> None:
    """Look for everything that is wrong with a catalogue file, each on a line. Exits with 1 if something is.

    Needs no running stack and no keys: whether the keys are where the file says is for `reelgate check`.
    """
    done = subprocess.run(  # noqa: S603  our own program
        [sys.executable, "-m", "services.jobs.catalogue", str(file)], check=False
    )
    if done.returncode:
        raise typer.Exit(done.returncode)
