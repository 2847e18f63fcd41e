"""Jobs that are retried without progress: how people are told about them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from services.cli.errors import CommandError
from services.common.errors import ServiceError

if TYPE_CHECKING:
    from reelgate.admin.v1.job_admin_service_pb2 import ListUnfinishedJobsResponse as Stalled

CHECK_SECONDS = 5.0


def stalled_line(stalled: "Stalled") -> str:
    """Returns one line: how many jobs do not move, the last error of the one waiting longest, and where to look."""
    if not stalled.jobs:
        return "Jobs that do not move: 0"
    longest = stalled.jobs[0]
    return (
        f"Jobs that do not move: {stalled.stalled_count:,}, last error {longest.last_error or 'its workers died'}"
        f" ({longest.job_id}); see `reelgate job list --stalled`"
    )


async def watch_stalled(look: Callable[[], Awaitable["Stalled"]], *, say: Callable[[str], None]) -> None:
    """Reports when jobs stop moving, when the error changes, and when all move again; runs until cancelled."""
    known = (False, "")
    while True:
        await asyncio.sleep(CHECK_SECONDS)
        try:
            stalled = await look()
        except (ServiceError, CommandError):
            continue  # jobs is down, which the supervisor reports
        found = (stalled.stalled_count > 0, stalled.jobs[0].last_error if stalled.jobs else "")
        if found != known:
            say(stalled_line(stalled))
        known = found
