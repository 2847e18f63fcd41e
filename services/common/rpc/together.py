"""Requests that come while a call is under way travel in the next one, and each caller gets the outcome of its own.

A call that takes long holds up nobody: the next one leaves PACE_SECONDS after it.
One that is alone goes by a call of its own, and so do all where the other side is of a release that takes only those.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Generic, TypeVar

from services.common.errors import Reason, ServiceError
from services.common.gathering import Gathering
from services.common.rpc.both_ends import request_id
from services.common.rpc.client import is_method_unknown
from services.common.telemetry.tracing import spans_together, traceparent

APART_SECONDS = 30.0
"""How long requests go apart after the other side did not know the method that takes several."""
PACE_SECONDS = 0.05
"""How long others wait for a call that is under way. Without waiting, calls of a busy process have one request each."""
PAUSE_SECONDS = 0.01
"""From one call to the next, at the most, where many ask. A call costs either side as much as some twenty requests in it."""
REQUEST_ID_LENGTH_MAX = 64
"""How much of each request id is sent of several, so that all fit into the metadata of a call."""
FAILURES = frozenset({Reason.UNAVAILABLE, Reason.DEADLINE_EXCEEDED, Reason.INTERNAL})
"""Reasons that are nobody's own: all in the call have failed."""

Request = TypeVar("Request")
Answer = TypeVar("Answer")
One = Callable[[Request, float], Awaitable[Answer]]
"""Makes the call for one request, within seconds. Raises ServiceError."""
Several = Callable[[Sequence[Request], float], Awaitable[Sequence[Answer | ServiceError]]]
"""Makes the call for several requests, within seconds, and returns their outcomes in order. Raises ServiceError."""


@dataclass(frozen=True, slots=True)
class _Asked(Generic[Request, Answer]):
    request: Request
    answer: "asyncio.Future[Answer]"
    request_id: str
    traceparent: str


class Together(Generic[Request, Answer]):
    """Sends what many callers ask. A call that fails tells each of them what its own call would have."""

    def __init__(
        self,
        *,
        one: One[Request, Answer],
        several: Several[Request, Answer],
        name: str,
        requests_max: int,
        seconds_max: float,
        monotonic: Callable[[], float] = time.monotonic,
        pace_seconds: float = PACE_SECONDS,
    ) -> None:
        """`requests_max` go in one call. It may take `seconds_max`, and its spans have a name."""
        self._one = one
        self._several = several
        self._name = name
        self._requests_max = requests_max
        self._seconds_max = seconds_max
        self._monotonic = monotonic
        self._pace_seconds = pace_seconds
        self._waiting: list[_Asked[Request, Answer]] = []
        self._sending: set[asyncio.Task[None]] = set()
        self._pace: asyncio.TimerHandle | None = None
        """While there is one, a call is under way for which others wait."""
        self._under_way = 0
        """How many requests are in that call."""
        self._gathering = Gathering(self._start, pause_seconds=PAUSE_SECONDS)
        self._apart_until = -1.0

    async def ask(self, request: Request) -> Answer:
        """Returns the answer to a request. Raises ServiceError. Who stops waiting does not disturb the others."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Asked(request, answer, request_id.get(), traceparent.get()))
        self._gathering.came(waiting=len(self._waiting), under_way=self._under_way)
        return await answer

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        self._under_way = len(self._waiting)
        self._pace = pace = loop.call_later(self._pace_seconds, self._go_on)
        # In a context of its own: what it sends belongs to several callers.
        task = loop.create_task(self._send_all(pace), context=Context())
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    def _go_on(self) -> None:
        self._pace = None
        self._under_way = 0
        self._gathering.ended(waiting=len(self._waiting))

    async def _send_all(self, pace: asyncio.TimerHandle) -> None:
        asked = [each for each in self._waiting if not each.answer.done()]
        self._waiting = []
        try:
            if asked:
                await self._send_parts(asked)
        finally:
            if pace is self._pace:
                pace.cancel()
                self._go_on()

    async def _send_parts(self, asked: Sequence[_Asked[Request, Answer]]) -> None:
        if len(asked) <= self._requests_max:
            await self._send(asked)
            return
        size = self._requests_max
        await asyncio.gather(*(self._send(asked[at : at + size]) for at in range(0, len(asked), size)))

    async def _send(self, asked: Sequence[_Asked[Request, Answer]]) -> None:
        try:
            for each, outcome in zip(asked, await self._outcomes(asked), strict=True):
                if each.answer.done():
                    continue
                if isinstance(outcome, ServiceError):
                    each.answer.set_exception(outcome)
                else:
                    each.answer.set_result(outcome)
        except Exception as error:  # noqa: BLE001  it is told to those who asked
            for each in asked:
                if not each.answer.done():
                    each.answer.set_exception(error)
        finally:
            for each in asked:
                each.answer.cancel()

    async def _outcomes(self, asked: Sequence[_Asked[Request, Answer]]) -> Sequence[Answer | ServiceError]:
        if len(asked) == 1:
            return [await self._apart(asked[0], self._seconds_max)]
        ends_at = self._monotonic() + self._seconds_max
        if self._monotonic() >= self._apart_until:
            try:
                return await self._in_one_call(asked)
            except ServiceError as error:
                if is_method_unknown(error):
                    self._apart_until = self._monotonic() + APART_SECONDS
                elif error.reason in FAILURES:
                    return [error] * len(asked)
                # Else one of them breaks a rule. Which one it is shows when each goes alone.
        seconds = ends_at - self._monotonic()
        return await asyncio.gather(*(self._apart(each, seconds) for each in asked))

    async def _in_one_call(self, asked: Sequence[_Asked[Request, Answer]]) -> Sequence[Answer | ServiceError]:
        ids = dict.fromkeys(each.request_id[:REQUEST_ID_LENGTH_MAX] for each in asked)
        request_id.set(",".join(filter(None, ids)))
        with spans_together(self._name, [each.traceparent for each in asked]):
            return await self._several([each.request for each in asked], self._seconds_max)

    async def _apart(self, asked: _Asked[Request, Answer], seconds: float) -> Answer | ServiceError:
        request_id.set(asked.request_id)
        traceparent.set(asked.traceparent)
        try:
            return await self._one(asked.request, seconds)
        except ServiceError as error:
            return error
