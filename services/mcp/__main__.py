"""MCP for customers' assistants.

`python -m services.mcp serve` serves over HTTP, `wait` loads what it needs only when somebody connects, `stdio` serves on
standard input and output.
"""

import os
import socket
import sys
from collections.abc import Mapping

from services.common.extras import needs_extra

USAGE = "usage: python -m services.mcp serve | wait | stdio\n"
ADDRESS = "MCP_LISTEN_ADDRESS"


def main(arguments: list[str], environment: Mapping[str, str]) -> int:
    """Does what the first argument says. Returns the exit code."""
    match arguments:
        case ["serve"]:
            return _serve(environment)
        case ["wait"] if ADDRESS in environment:
            from services.mcp.waiting import called

            return _serve(environment, called(environment[ADDRESS]))
        case ["stdio"]:
            with needs_extra("mcp"):
                from services.mcp.stdio import run_stdio
            return run_stdio(environment)
        case _:
            sys.stderr.write(USAGE)
            return 2


def _serve(environment: Mapping[str, str], taken: socket.socket | None = None) -> int:
    with needs_extra("mcp"):
        from services.mcp.process import run
    return run(environment, taken=taken)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
