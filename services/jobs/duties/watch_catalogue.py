"""Reads the catalogue again when its file, or a file with a key, changes."""

from collections.abc import Awaitable, Callable

from services.common.loop import Duty

IDLE_SECONDS = 1.0


def watch_catalogue(look: Callable[[], Awaitable[int]]) -> Duty:
    """Returns the duty."""
    return Duty("catalogue", look, idle_seconds=IDLE_SECONDS)
