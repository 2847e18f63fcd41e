"""Many callers, one question: while it is being asked, all who ask the same wait for one answer."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

Key = TypeVar("Key")
Answer = TypeVar("Answer")


class SingleFlight(Generic[Key, Answer]):
    """Runs at most one task for each key. It remembers nothing once the task has ended."""

    def __init__(self) -> None:
        self._running: dict[Key, asyncio.Task[Answer]] = {}

    async def run(self, key: Key, begin: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
        """Returns what the task of this key returns, or raises what it raises. A caller that leaves ends nothing.

        Only where none is running it calls `begin`, at once; what `begin` itself raises reaches this caller alone.
        """
        task = self._running.get(key)
        if task is None:
            task = asyncio.create_task(self._run(key, begin()))
            self._running[key] = task
        return await asyncio.shield(task)

    async def _run(self, key: Key, work: Coroutine[Any, Any, Answer]) -> Answer:
        try:
            return await work
        finally:
            del self._running[key]
