"""Taking a provider's hint."""

import re
from collections.abc import Callable

from services.jobs.ports import Work

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}")


async def receive_callback(
    token: str,
    body: bytes,
    *,
    work: Work,
    claimed_task_id: Callable[[bytes], str | None],
    ring: Callable[[], None],
) -> None:
    """Makes the job of the attempt with that token due at once and rings for the workers.

    `claimed_task_id` reads from the body what the task is called; it is only noted, never trusted.
    An unknown token changes nothing. Repeating it is harmless.
    """
    if _TOKEN.fullmatch(token) and await work.wake(token, claimed_task_id=claimed_task_id(body)):
        ring()
