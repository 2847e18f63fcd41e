"""The process that serves over HTTP."""

import logging
import socket
import sys
from collections.abc import Mapping

from services.common.event_loop import run_to_end
from services.common.settings import SettingsError, load_settings
from services.mcp.http import build_app, serve
from services.mcp.over_grpc import open_calls
from services.mcp.settings import PREFIX, McpSettings
from services.mcp.waiting import listening

UNUSABLE = 2


def run(environment: Mapping[str, str], *, taken: socket.socket | None = None) -> int:
    """Serves until SIGTERM, on a socket that listens already or on one of its own. Returns the exit code."""
    try:
        settings = load_settings(McpSettings, prefix=PREFIX, environment=environment)
        taken = taken or listening(settings.listen_address)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return UNUSABLE
    except OSError as error:
        sys.stderr.write(f"{PREFIX}LISTEN_ADDRESS: cannot listen there: {error.strerror}\n")
        return UNUSABLE
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # It says at each request that a session begins and ends, which there are none of.
    logging.getLogger("mcp").setLevel(logging.WARNING)
    run_to_end(_serve(settings, taken))
    return 0


async def _serve(settings: McpSettings, taken: socket.socket) -> None:
    async with open_calls(jobs_target=settings.jobs_target, billing_target=settings.billing_target) as calls:
        await serve(build_app(calls), taken, notice_seconds=settings.notice_seconds)
