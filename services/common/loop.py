"""Background duties: a bounded `run_once`, and the loop that waits between two runs."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine
from contextlib import asynccontextmanager
from dataclasses import KW_ONLY, dataclass
from typing import Any

from services.common.backoff import backoff_seconds
from services.common.telemetry.duty_metrics import Runs

log = logging.getLogger(__name__)

FAILURE_WAIT_SECONDS_MAX = 5.0
CANCEL_AGAIN_SECONDS = 8.0
"""Longer than what is under way may take to end. A cancellation may be lost: up to Python 3.11 `asyncio.wait_for`, by which
psycopg waits, drops one that comes at the moment when it ends."""
APART_SECONDS = 0.04
"""All at once would each open a database connection, and keep it for minutes."""
REST_SECONDS = 0.02
"""Between two runs of a busy duty, so that under load each does a batch and not a single thing."""


async def repeat(
    run_once: Callable[[], Awaitable[int]],
    *,
    name: str,
    idle_seconds: float,
    wake: asyncio.Event | None = None,
    rest_seconds: float = REST_SECONDS,
) -> None:
    """Runs a duty until cancelled.

    `run_once` returns how much it did; after 0 the loop waits `idle_seconds` or until `wake` is set, and `rest_seconds`
    in any case.
    A failure is logged and followed by a growing wait; it never ends the loop.
    """
    failures, runs = 0, Runs(name)
    while True:
        if wake is not None:
            wake.clear()
        started = time.perf_counter()
        try:
            done = await run_once()
            failures = 0
        except Exception:
            failures += 1
            runs.failed(seconds=time.perf_counter() - started)
            log.exception("duty=%s failures=%d", name, failures)
            await asyncio.sleep(backoff_seconds(failures, first=0.1, most=FAILURE_WAIT_SECONDS_MAX))
            continue
        runs.succeeded(done=done, seconds=time.perf_counter() - started)
        await asyncio.sleep(rest_seconds)
        if done == 0:
            await _wait(idle_seconds, wake)


@dataclass(frozen=True)
class Duty:
    """Something that a process does by itself, again and again. See `repeat`."""

    name: str
    run_once: Callable[[], Awaitable[int]]
    _: KW_ONLY
    idle_seconds: float
    wake: asyncio.Event | None = None
    rest_seconds: float = REST_SECONDS


@asynccontextmanager
async def performing(*duties: Duty) -> AsyncIterator[None]:
    """Repeats duties beside the block and cancels them at its end. They begin in their order, APART_SECONDS apart."""
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_begun(duty, after_seconds=number * APART_SECONDS))
            for number, duty in enumerate(duties)
        ]
        try:
            yield
        finally:
            await end(*tasks)


async def _begun(duty: Duty, *, after_seconds: float) -> None:
    await asyncio.sleep(after_seconds)
    await repeat(
        duty.run_once,
        name=duty.name,
        idle_seconds=duty.idle_seconds,
        wake=duty.wake,
        rest_seconds=duty.rest_seconds,
    )


@asynccontextmanager
async def running(duty: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Runs an endless duty beside the block and cancels it at the end."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(duty)
        try:
            yield
        finally:
            await end(task)


async def end(*tasks: asyncio.Task[None]) -> None:
    """Cancels tasks until they have ended."""
    left: Collection[asyncio.Task[None]] = tasks
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=CANCEL_AGAIN_SECONDS)


async def _wait(seconds: float, wake: asyncio.Event | None) -> None:
    if wake is None:
        await asyncio.sleep(seconds)
        return
    try:
        async with asyncio.timeout(seconds):
            await wake.wait()
    except TimeoutError:
        return
