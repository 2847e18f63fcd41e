"""The event loop that services run on: uvloop's, or asyncio's on a Python that uvloop is not built for."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Answer = TypeVar("Answer")

new_event_loop: Callable[[], asyncio.AbstractEventLoop]
try:
    from uvloop import new_event_loop
except ModuleNotFoundError:
    from asyncio import new_event_loop


def run_to_end(main: Coroutine[Any, Any, Answer]) -> Answer:
    """Runs what a process does, as `asyncio.run` would, and returns what it returns."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main)
