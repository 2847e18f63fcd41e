"""The command line for customers: `reelgate-client`, and the same commands of `reelgate` where the services are installed."""

import sys
from collections.abc import Sequence

LACKING = "Error: the command line needs more than the client. Install it: pip install 'reelgate-client[cli]'"


def main(arguments: Sequence[str] | None = None, *, name: str = "reelgate-client") -> None:
    """Runs one command and exits as it says: see docs/guides/command_line.md."""
    try:
        from reelgate_client.cli.app import app, prepare_completion
    except ModuleNotFoundError as missing:
        if missing.name != "typer":
            raise
        sys.exit(LACKING)
    prepare_completion()
    app(args=arguments, prog_name=name)
