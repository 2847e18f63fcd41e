"""When callers that share a statement or a call begin it: at once, or as soon as as many wait as were under way lately."""

import asyncio
import time
from collections.abc import Callable

WINDOW_SECONDS = 0.05
"""How many were under way is remembered for so long at least, and twice as long at the most."""
CROWD_MIN = 3
"""Fewer do not wait: what two share saves less than the wait for the second takes."""


class Gathering:
    """Calls `begin`, which takes all that wait.

    Where many come at once, whatever they share is work that none of them waits for, so a short pause makes all of
    them faster. From one beginning to the next it is `pause_seconds` at the most, and less once nobody else is likely to come.
    """

    def __init__(
        self,
        begin: Callable[[], None],
        *,
        pause_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._begin = begin
        self._pause_seconds = pause_seconds
        self._monotonic = monotonic
        self._most_now = self._most_before = 0
        self._window_ends = self._began = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def came(self, *, waiting: int, under_way: int) -> None:
        """Takes note of one more. As long as others are under way, it waits until `ended`."""
        self._note(waiting + under_way)
        if under_way:
            return
        if self._timer is None:
            self.ended(waiting=waiting)
        elif waiting >= self._expected():
            self._begin_now()

    def ended(self, *, waiting: int) -> None:
        """Begins with those that wait, now or when more have come."""
        if not waiting:
            return
        pause = self._began + self._pause_seconds - self._monotonic()
        if pause <= 0 or waiting >= self._expected():
            self._begin_now()
        else:
            self._timer = asyncio.get_running_loop().call_later(pause, self._begin_now)

    def _note(self, count: int) -> None:
        now = self._monotonic()
        if now >= self._window_ends:
            self._most_before = self._most_now if now < self._window_ends + WINDOW_SECONDS else 0
            self._most_now = 0
            self._window_ends = now + WINDOW_SECONDS
        self._most_now = max(self._most_now, count)

    def _expected(self) -> int:
        most = max(self._most_now, self._most_before)
        return most if most >= CROWD_MIN else 1

    def _begin_now(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._began = self._monotonic()
        self._begin()
