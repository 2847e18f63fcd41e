"""Jobs that do not move although they are tried: how people are told of them."""

import asyncio
from collections.abc import Awaitable, Callable

from services.cli.admin.records import Stalled
from services.cli.errors import CommandError
from services.common.errors import ServiceError

CHECK_SECONDS = 5.0


def stalled_line(stalled: Stalled) -> str:
    """Returns one line that says how many jobs do not move, what the longest of them failed with, and where to look."""
    if stalled.longest is None:
        return "Jobs that do not move: 0"
    error = stalled.longest.last_error or "its workers died"
    return (
        f"Jobs that do not move: {stalled.count:,}, last error {error}"
        f" ({stalled.longest.job_id}); see `reelgate job list --stalled`"
    )


async def watch_stalled(look: Callable[[], Awaitable[Stalled]], *, say: Callable[[str], None]) -> None:
    """Says when jobs stop moving, when another error is the reason, and when all move again; until cancelled."""
    known: tuple[bool, str | None] = (False, None)
    while True:
        await asyncio.sleep(CHECK_SECONDS)
        try:
            stalled = await look()
        except (ServiceError, CommandError):
            continue  # jobs is away, which the supervisor says
        found = (stalled.count > 0, None if stalled.longest is None else stalled.longest.last_error)
        if found != known:
            say(stalled_line(stalled))
        known = found
