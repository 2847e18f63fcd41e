"""Looks at everything between this machine and the API."""

import sys

import typer

from reelgate_client.cli.exits import AUTHENTICATION, FAILED, guarded
from reelgate_client.cli.output import AsJson, for_programs, painted, print_json
from reelgate_client.cli.profiles import Profile, login

_COLOURS = {"ok": "green", "warning": "yellow", "failed": "red"}


def add_to(app: typer.Typer) -> None:
    """Adds the command of this module."""
    app.command()(doctor)


@guarded
def doctor(profile: Profile = None, as_json: AsJson = False) -> None:
    """Check the name, the certificate, the clock, the key and the limits. Exits with 1, or 3 for the key."""
    from reelgate_client.cli.examination import examine

    code = 0
    for finding in examine(login(profile)):
        if for_programs(as_json):
            print_json({name: value for name, value in vars(finding).items() if value})
        else:
            state = painted(finding.state.ljust(8), _COLOURS[finding.state], sys.stdout)
            typer.echo(f"{state} {finding.name.ljust(12)} {finding.says}")
            if finding.advice:
                typer.echo(f"{'':21} next: {finding.advice}")
        if finding.state == "failed":
            code = AUTHENTICATION if finding.name == "key" else FAILED
    if code:
        raise typer.Exit(code)
