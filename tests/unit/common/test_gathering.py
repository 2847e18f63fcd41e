"""Callers wait for one another where many call, and nowhere else."""

import asyncio

import pytest

from services.common.gathering import WINDOW_SECONDS, Gathering
from tests.patience import PATIENCE_SECONDS

LONG = 3600.0


class Callers:
    """Some wait, and some are under way since a beginning that took all who waited."""

    def __init__(self, *, pause_seconds: float = LONG) -> None:
        self.now = 1000.0
        self.waiting = self.under_way = 0
        self.began: list[int] = []
        self.has_begun = asyncio.Event()
        self._gathering = Gathering(self._begin, pause_seconds=pause_seconds, monotonic=lambda: self.now)

    def come(self, count: int = 1) -> None:
        for _ in range(count):
            self.waiting += 1
            self._gathering.came(waiting=self.waiting, under_way=self.under_way)

    def end(self) -> None:
        self.under_way = 0
        self._gathering.ended(waiting=self.waiting)

    def _begin(self) -> None:
        self.began.append(self.waiting)
        self.waiting, self.under_way = 0, self.waiting
        self.has_begun.set()


async def test_one_caller_after_the_other_never_waits() -> None:
    callers = Callers()

    for _ in range(5):
        callers.come()
        callers.end()

    assert callers.began == [1, 1, 1, 1, 1]


async def test_two_callers_never_wait_for_one_another() -> None:
    callers = Callers()

    callers.come(2)
    callers.end()
    callers.end()
    callers.come()

    assert callers.began == [1, 1, 1]


@pytest.mark.parametrize("count", [3, 4, 17])
async def test_where_many_called_the_first_waits_until_as_many_have_come(count: int) -> None:
    callers = Callers()
    callers.come(count)
    callers.end()
    callers.come()
    assert callers.began == [1, count]

    callers.end()
    callers.come(count - 1)
    assert callers.began == [1, count]
    callers.come()

    assert callers.began == [1, count, count]


async def test_whoever_waits_in_vain_begins_after_the_pause() -> None:
    callers = Callers(pause_seconds=0.001)
    callers.come(5)
    callers.end()
    callers.has_begun.clear()

    await asyncio.wait_for(callers.has_begun.wait(), PATIENCE_SECONDS)

    assert callers.began == [1, 4]


async def test_a_pause_that_has_passed_already_is_not_waited_for() -> None:
    callers = Callers(pause_seconds=0.02)
    callers.come(5)
    callers.now += 0.02

    callers.end()

    assert callers.began == [1, 4]


@pytest.mark.parametrize("pause", [2 * WINDOW_SECONDS, LONG - 1])
async def test_how_many_called_is_forgotten(pause: float) -> None:
    callers = Callers()
    callers.come(9)
    callers.now += pause
    callers.under_way = 0
    callers.waiting = 0

    callers.come()

    assert callers.began == [1, 1]
