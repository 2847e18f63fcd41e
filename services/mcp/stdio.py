"""The same server on standard input and output, on the customer's own machine: it calls an edge over HTTP."""

import logging
import sys
from collections.abc import Mapping

from mcp.server.stdio import stdio_server

from services.common.auth.key_forms import contract_of
from services.common.event_loop import run_to_end
from services.mcp.calls import Refused
from services.mcp.over_http import open_calls
from services.mcp.server import Context, build_server

BASE_URL, KEY = "REELGATE_BASE_URL", "REELGATE_API_KEY"


def run_stdio(environment: Mapping[str, str]) -> int:
    """Serves until standard input ends, as the environment says. Returns the exit code."""
    base_url, key = environment.get(BASE_URL, ""), environment.get(KEY, "")
    if not base_url.startswith(("http://", "https://")):
        sys.stderr.write(f"Set {BASE_URL} to the address of the API, as https://api.example.com.\n")
        return 2
    if contract_of(key) is None:
        sys.stderr.write(f"Set {KEY} to your API key.\n")
        return 2
    # Of what the SDK tells about itself, only warnings belong into a client's log.
    logging.basicConfig(level=logging.WARNING)
    run_to_end(_serve(base_url, key))
    return 0


async def _serve(base_url: str, key: str) -> None:
    async with open_calls(base_url) as calls, stdio_server() as (incoming, outgoing):
        server = build_server(calls, key_of=lambda _: key, told=_said_by_the_tool)
        await server.run(incoming, outgoing, server.create_initialization_options())


def _said_by_the_tool(_: Context, __: Refused) -> None:
    """Nobody else listens: a tool that is used with a wrong key says so itself."""
