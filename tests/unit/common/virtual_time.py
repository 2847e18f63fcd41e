"""An event loop whose clock jumps to whatever is next, so that minutes pass in milliseconds and nothing races."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from typing_extensions import override

Answer = TypeVar("Answer")


class _Jump(selectors.SelectSelector):
    def __init__(self) -> None:
        super().__init__()
        self.seconds = 1_000.0

    @override
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        assert ready or timeout is not None, "everything waits, and for nothing that will come"
        if not ready and timeout is not None:
            self.seconds += max(timeout, 0.0)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time passes only while everything waits."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    @override
    def time(self) -> float:
        return self._jump.seconds


def run_virtually(main: Coroutine[Any, Any, Answer]) -> Answer:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
