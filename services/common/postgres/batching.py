"""Group commit: calls that arrive while a batch runs or rests after it, or close to one another where many call, make up the next one.

A failing item fails alone: a batch that fails is run again in parts, until only the items that break it are left.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar, cast

from services.common.gathering import Gathering
from services.common.postgres.connection import is_outage

log = logging.getLogger(__name__)

PAUSE_SECONDS = 0.002
"""From one batch to the next, at the most, where many call."""

Item = TypeVar("Item")
Answer = TypeVar("Answer")


async def answer_apart(
    run: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]],
    items: Sequence[Item],
    *,
    name: str,
    name_of: Callable[[Item], str],
) -> list[Answer | Exception]:
    """Returns for each item its answer, or the error it fails with when run alone. Such an item is logged by name.

    `run` answers items in order, all or none of them. If it fails the items are run again by halves, so one that
    breaks a batch costs few runs. An outage breaks every batch, and becomes the answer to all of its items.
    """
    try:
        return list(await run(items))
    except Exception as error:
        if is_outage(error):
            return [error] * len(items)
        if len(items) == 1:
            log.exception("batch=%s item=%s fails alone", name, name_of(items[0]))
            return [error]
    middle = len(items) // 2
    parts = (items[:middle], items[middle:])
    return [answer for part in parts for answer in await answer_apart(run, part, name=name, name_of=name_of)]


def succeeded(answers: Sequence[Answer | Exception]) -> list[Answer]:
    """Returns the answers of those that did not fail. Raises an outage."""
    found: list[Answer] = []
    for answer in answers:
        if not isinstance(answer, Exception):
            found.append(answer)
        elif is_outage(answer):
            raise answer
    return found


class Batcher(Generic[Item, Answer]):
    """Runs items of many callers together, one batch at a time, each caller getting the answer to its own.

    `run` and the names are those of `answer_apart`. After each batch it rests for `rest_seconds`, which a call that comes
    alone never waits for.
    How many can wait is bounded by the server's limit of concurrent calls.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]],
        *,
        items_max: int,
        name: str,
        name_of: Callable[[Item], str],
        rest_seconds: float = 0.0,
    ) -> None:
        self._run = run
        self._rest_seconds = rest_seconds
        self._items_max = items_max
        self._name = name
        self._name_of = name_of
        self._waiting: deque[tuple[Item, asyncio.Future[Answer]]] = deque()
        self._running: asyncio.Task[None] | None = None
        self._under_way = 0
        self._gathering = Gathering(self._start, pause_seconds=PAUSE_SECONDS)

    async def submit(self, item: Item) -> Answer:
        """Returns the answer to an item. Raises what it fails with."""
        return await self._entered(item)

    async def submit_all(self, items: Sequence[Item]) -> list[Answer | Exception]:
        """Returns for each item its answer, or what it fails with."""
        answers = [self._entered(item) for item in items]
        found = await asyncio.gather(*answers, return_exceptions=True)
        return [each if isinstance(each, Exception) else cast("Answer", each) for each in found]

    def _entered(self, item: Item) -> "asyncio.Future[Answer]":
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        self._gathering.came(waiting=len(self._waiting), under_way=self._under_way)
        return answer

    def _start(self) -> None:
        self._under_way = len(self._waiting)
        self._running = asyncio.create_task(self._run_next())

    async def _run_next(self) -> None:
        try:
            await self._all_arrived()
            self._under_way = min(len(self._waiting), self._items_max)
            await self._run_batch([self._waiting.popleft() for _ in range(self._under_way)])
            if self._rest_seconds:
                await asyncio.sleep(self._rest_seconds)
        finally:
            self._under_way = 0
        self._gathering.ended(waiting=len(self._waiting))

    async def _all_arrived(self) -> None:
        """Lets calls that are just being read join the batch: a turn of the loop more for as long as each brings some."""
        count = 0
        while count < len(self._waiting) < self._items_max:
            count = len(self._waiting)
            await asyncio.sleep(0)

    async def _run_batch(self, batch: Sequence[tuple[Item, "asyncio.Future[Answer]"]]) -> None:
        wanted = [(item, answer) for item, answer in batch if not answer.cancelled()]
        if not wanted:
            return
        answers = await answer_apart(
            self._run, [item for item, _ in wanted], name=self._name, name_of=self._name_of
        )
        for (_, answer), found in zip(wanted, answers, strict=True):
            if answer.done():
                continue
            if isinstance(found, Exception):
                answer.set_exception(found)
            else:
                answer.set_result(found)
