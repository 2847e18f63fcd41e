"""What a process does when more is asked of it than it can do: it refuses some early, so that the rest stays fast.

A process that takes in all that comes makes everybody wait, until callers give up and its work is for nothing. Few calls
are therefore inside at once. The others wait before the door, accounts in turn, and none for long: who would wait longer
than JOIN_SECONDS_MAX is refused at once. How long that is tells the account that is next: it has waited for a round of all.
"""

import asyncio
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Any, Final

from google.api import annotations_pb2
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc.aio import ServicerContext

from services.common.errors import Reason, ServiceError
from services.common.rpc.interceptors import Handler, Middleware, account
from services.common.telemetry.metrics import JOBS_API, counter

INSIDE_MAX: Final = 100
"""As many as may ask a moderation endpoint at once. More would only share the same core."""
JOIN_SECONDS_MAX: Final = 0.25
WAIT_SECONDS_MAX: Final = 0.5
"""Who waits is refused after it: a call that began later still ends within a second."""
RETRY_SECONDS: Final = 1

_REFUSED = counter(
    "reelgate_overload_refusals_total",
    "Calls that were refused because too many others were under way.",
    of=(JOBS_API,),
)


def overloaded() -> ServiceError:
    """Returns the refusal of a call that would have waited too long."""
    _REFUSED.inc()
    return ServiceError(
        Reason.UNAVAILABLE,
        f"Too many tasks are being created at the moment. Try again in {RETRY_SECONDS} s.",
        retry_after_seconds=str(RETRY_SECONDS),
    )


@dataclass
class _Line:
    """Who waits of one account, the first of them first."""

    turn_since: float
    """When it went to the end of the round of accounts."""
    waiters: deque[asyncio.Future[bool]] = field(default_factory=deque)


class Entrance:
    """The door of one process. Who `enter`s must `leave`."""

    def __init__(self, *, inside_max: int = INSIDE_MAX) -> None:
        self._free = inside_max
        self._lines: OrderedDict[str, _Line] = OrderedDict()
        """By account, the one whose turn it is first."""

    def refuse_if_full(self) -> None:
        """Refuses whoever it is, where even an account of which nobody waits would wait too long for its turn."""
        if self._lines and self._round_seconds() >= JOIN_SECONDS_MAX:
            raise overloaded()

    async def enter(self, account_id: str) -> None:
        """Returns when the call may begin. Refuses it if it would wait, or has waited, too long."""
        if self._free:
            self._free -= 1
            return
        loop = asyncio.get_running_loop()
        line = self._lines.get(account_id) or _Line(loop.time())
        # One round for each that waits before it, and one for itself.
        if self._lines and self._round_seconds() * (len(line.waiters) + 1) >= JOIN_SECONDS_MAX:
            raise overloaded()
        self._lines[account_id] = line
        waiter: asyncio.Future[bool] = loop.create_future()
        line.waiters.append(waiter)
        timer = loop.call_later(WAIT_SECONDS_MAX, _answer, waiter, False)
        try:
            may_enter = await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.result():
                self.leave()
            raise
        finally:
            timer.cancel()
        if not may_enter:
            raise overloaded()

    def leave(self) -> None:
        """Ends a call that was inside, and lets the next one in: of the account whose turn it is, the first."""
        while self._lines:
            account_id, line = next(iter(self._lines.items()))
            waiter = _first(line)
            if line.waiters:
                self._lines.move_to_end(account_id)
                line.turn_since = asyncio.get_running_loop().time()
            else:
                del self._lines[account_id]
            if waiter is not None:
                _answer(waiter, True)
                return
        self._free += 1

    def _round_seconds(self) -> float:
        """Returns how long the account whose turn is next has waited for it: a round of all takes at least as long."""
        return asyncio.get_running_loop().time() - next(iter(self._lines.values())).turn_since


def _first(line: _Line) -> asyncio.Future[bool] | None:
    """Takes the first who still waits out of a line, and all before."""
    while line.waiters:
        waiter = line.waiters.popleft()
        if not waiter.done():
            return waiter
    return None


def _answer(waiter: asyncio.Future[bool], may_enter: bool) -> None:
    if not waiter.done():
        waiter.set_result(may_enter)


def unless_full(entrance: Entrance) -> Middleware:
    """Returns the middleware that refuses creations of anybody while nobody more can be let in.

    It stands before `authenticated`: whom it refuses is not looked up, which may take a call of billing and its database.
    """

    def middleware(method: str, inside: Handler) -> Handler:
        if not creates(method):
            return inside

        async def call(request: Any, context: ServicerContext[Any, Any]) -> Any:
            entrance.refuse_if_full()
            return await inside(request, context)

        return call

    return middleware


def entered(entrance: Entrance) -> Middleware:
    """Returns the middleware that lets creations in through the door, accounts in turn.

    It stands after `authenticated` and `limited`, which say whose turn it is and mostly answer from memory, and before
    the request is read or any database asked.
    """

    def middleware(method: str, inside: Handler) -> Handler:
        if not creates(method):
            return inside

        async def call(request: Any, context: ServicerContext[Any, Any]) -> Any:
            await entrance.enter(account.get())
            try:
                return await inside(request, context)
            finally:
                entrance.leave()

        return call

    return middleware


def creates(method: str) -> bool:
    """Returns whether a method makes something new at each call: a POST that cannot simply be repeated."""
    _, service, name = method.split("/")
    options = descriptor_pool.Default().FindMethodByName(f"{service}.{name}").GetOptions()
    is_post = options.Extensions[annotations_pb2.http].WhichOneof("pattern") == "post"
    return bool(is_post and options.idempotency_level == descriptor_pb2.MethodOptions.IDEMPOTENCY_UNKNOWN)
