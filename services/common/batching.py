"""Group commit: calls that arrive while a batch runs make up the next one. Nobody waits for a clock."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Batcher(Generic[Item, Answer]):
    """Runs items of many callers together, one batch at a time, each caller getting the answer to its own.

    `run` answers a batch item by item, in order. If it raises, every caller of that batch gets the error.
    How many can wait is bounded by the server's limit of concurrent calls.
    """

    def __init__(
        self, run: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]], *, items_max: int
    ) -> None:
        self._run = run
        self._items_max = items_max
        self._waiting: deque[tuple[Item, asyncio.Future[Answer]]] = deque()
        self._running: asyncio.Task[None] | None = None

    async def submit(self, item: Item) -> Answer:
        """Returns the answer to an item. Raises what its batch raised."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._running is None:
            self._running = asyncio.create_task(self._run_all())
        return await answer

    async def _run_all(self) -> None:
        try:
            while self._waiting:
                await self._all_arrived()
                count = min(len(self._waiting), self._items_max)
                await self._run_batch([self._waiting.popleft() for _ in range(count)])
        finally:
            self._running = None

    async def _all_arrived(self) -> None:
        """Lets calls that are just being read join the batch: a turn of the loop more for as long as each brings some."""
        count = 0
        while count < len(self._waiting) < self._items_max:
            count = len(self._waiting)
            await asyncio.sleep(0)

    async def _run_batch(self, batch: Sequence[tuple[Item, "asyncio.Future[Answer]"]]) -> None:
        wanted = [(item, answer) for item, answer in batch if not answer.cancelled()]
        try:
            answers = await self._run([item for item, _ in wanted])
        except Exception as error:  # noqa: BLE001  every caller gets it
            for _, answer in wanted:
                if not answer.done():
                    answer.set_exception(error)
            return
        for (_, answer), found in zip(wanted, answers, strict=True):
            if not answer.done():
                answer.set_result(found)
