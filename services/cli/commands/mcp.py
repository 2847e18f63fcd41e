"""The command that gives an assistant on this machine the tools for videos."""

import os
import sys

import typer

from services.cli.local import lookup
from services.cli.options import DATA_DEFAULT, Data

BASE_URL, KEY = "REELGATE_BASE_URL", "REELGATE_API_KEY"


def add_to(app: typer.Typer) -> None:
    """Adds the command of this module."""
    app.command("mcp")(serve_mcp)


def serve_mcp(data: Data = DATA_DEFAULT) -> None:
    """Serve MCP on standard input and output, for an assistant that starts this command.

    It calls the API at REELGATE_BASE_URL with the key in REELGATE_API_KEY. Without an address it calls the local stack, and
    without a key too with the test key of the demo account.
    """
    environment = dict(os.environ)
    if BASE_URL not in environment:
        environment[BASE_URL] = lookup.edge(data)
        if KEY not in environment:
            environment[KEY] = lookup.demo_key(data, environment="test")
    words = [sys.executable, "-m", "services.mcp", "stdio"]
    os.execve(sys.executable, words, environment)  # noqa: S606
