"""How often a key may call: never more than agreed in any 60 seconds, over all processes that let calls through."""

import asyncio
import heapq
import logging
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool
from grpc.aio import ServicerContext

from services.common.auth.authentication import OPEN_TO_ALL, Caller, caller
from services.common.errors import Reason, ServiceError
from services.common.loop import running
from services.common.rate_limit.protocol import KEYS_PER_REQUEST_MAX, WINDOW_SECONDS, LeaseCalls
from services.common.rate_limit.slots import HeldCalls
from services.common.rpc.interceptors import Handler, Middleware, answer_header
from services.common.telemetry.metrics import BILLING, JOBS_API, WEBHOOKS_API, counter

log = logging.getLogger(__name__)

ASK_EVERY_SECONDS = 1.0
"""How often one key is asked for, at most."""
GATHER_SECONDS = 0.02
"""Keys that are due within it are asked for together."""
REQUESTS_AT_ONCE_MAX = 8
SOON_SECONDS = 1.0
"""A call waits for a slot that will be free within this time."""
WAITERS_MAX = 16
"""Of one key, for slots that are not known to be free."""
WAIT_SECONDS_MAX = 4.0
GIVE_BACK_SECONDS_MAX = 1.0
_DECISIONS = counter(
    "reelgate_rate_limit_decisions_total",
    "Calls of API keys that were `allowed` or `limited`, or could not be decided, so that they were refused (`unknown`).",
    labels=("decision",),
    of=(BILLING, JOBS_API, WEBHOOKS_API),
)
_ALLOWED, _LIMITED, _UNKNOWN = (_DECISIONS.labels(decision) for decision in ("allowed", "limited", "unknown"))
OUTAGE_RETRY_SECONDS = 1
"""Whole seconds after which a call may be repeated if it could not be decided."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Whether a call may be made, and how the key stands after it."""

    allowed: bool
    limit: int
    """Calls in any 60 seconds."""
    remaining: int
    reset_seconds: int
    """Until more calls are left: at least 1."""
    is_known: bool = True
    """Whether it could be decided. If not, billing does not answer."""


class _Key:
    """What the limiter knows of one key, and who waits for it."""

    def __init__(self, key_id: str, *, calls_per_minute: int) -> None:
        self.key_id = key_id
        self.held = HeldCalls(calls_per_minute=calls_per_minute)
        self.waiters: deque[asyncio.Future[Decision]] = deque()
        self.opened: deque[float] = deque()
        """When calls were admitted although billing did not answer."""
        self.asked_at = -math.inf
        self.is_due = False
        self.is_asking = False
        self.is_lost = False
        """Whether the last request failed."""
        self.timer: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        return self.held.is_idle and not self.waiters and not self.opened and not self.is_asking

    def decision(self, now: float, *, allowed: bool) -> Decision:
        return Decision(
            allowed=allowed,
            limit=self.held.limit,
            remaining=self.held.remaining() if allowed else 0,
            reset_seconds=self.held.reset_seconds(now),
        )

    def unknown(self) -> Decision:
        return Decision(
            allowed=False,
            limit=self.held.limit,
            remaining=0,
            reset_seconds=OUTAGE_RETRY_SECONDS,
            is_known=False,
        )

    def room(self, now: float) -> int:
        """How many callers may wait: one for each slot that will be usable or can be asked for, and a few on chance."""
        if self.is_lost:
            return 0
        if self.held.answered_turn == 0:
            return self.held.limit
        next_free_at = self.held.next_free_at()
        is_likely = self.held.elsewhere_count or (
            next_free_at is not None and next_free_at <= now + SOON_SECONDS
        )
        known = self.held.usable_count(now + SOON_SECONDS) + self.held.spare_count + self.held.elsewhere_count
        return known + (WAITERS_MAX if is_likely else 0)


class Limiter:
    """Decides for one process which calls are within their keys' limits, from slots that it leases."""

    def __init__(
        self, lease: LeaseCalls, *, holder: str, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._lease = lease
        self._holder = holder
        self._monotonic = monotonic
        self._turn = 0
        self._keys: dict[str, _Key] = {}
        self._due: list[tuple[float, str]] = []
        self._wake = asyncio.Event()
        self._requests = asyncio.Semaphore(REQUESTS_AT_ONCE_MAX)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Leases slots while the block runs, then returns the unused ones."""
        async with running(self._keep_leasing()):
            yield
        try:
            async with asyncio.timeout(GIVE_BACK_SECONDS_MAX):
                await self._give_back()
        except Exception as error:  # noqa: BLE001  what is not given back counts as used
            log.info("slots were not returned: %r", error)

    async def admit(self, who: Caller, *, may_fail_open: bool) -> Decision:
        """Uses a slot of the caller's key, waiting for one that is free soon. Decides at once if there is none.

        While billing does not answer, `may_fail_open` lets through as many calls as the limit, in this process.
        """
        key = self._keys.get(who.key_id)
        if key is None:
            key = self._keys[who.key_id] = _Key(who.key_id, calls_per_minute=who.calls_per_minute)
        now = self._monotonic()
        if not key.waiters and key.held.use(now):
            self._ask_soon(key, now)
            return key.decision(now, allowed=True)
        if key.is_lost:
            self._ask_soon(key, now)
            return self._unknown(key, now, may_fail_open=may_fail_open)
        if len(key.waiters) >= key.room(now):
            return key.decision(now, allowed=False)
        decision = await self._wait(key, now)
        return decision if decision.is_known else self._unknown(key, now, may_fail_open=may_fail_open)

    async def _wait(self, key: _Key, now: float) -> Decision:
        waiter = asyncio.get_running_loop().create_future()
        key.waiters.append(waiter)
        self._serve(key)
        self._ask_soon(key, now)
        try:
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                decision: Decision = await waiter
        except TimeoutError:
            return key.decision(self._monotonic(), allowed=False)
        return decision

    def _unknown(self, key: _Key, now: float, *, may_fail_open: bool) -> Decision:
        while key.opened and key.opened[0] + WINDOW_SECONDS <= now:
            key.opened.popleft()
        if not may_fail_open:
            return key.unknown()
        limit = key.held.limit
        allowed = len(key.opened) < limit
        if allowed:
            key.opened.append(now)
        return Decision(
            allowed=allowed,
            limit=limit,
            remaining=limit - len(key.opened),
            reset_seconds=max(1, math.ceil(key.opened[0] + WINDOW_SECONDS - now)),
        )

    def _serve(self, key: _Key) -> None:
        """Gives those who wait the slots that may be used now, first come, first served."""
        now = self._monotonic()
        while key.waiters:
            if key.waiters[0].done():
                key.waiters.popleft()
            elif key.held.use(now):
                key.waiters.popleft().set_result(key.decision(now, allowed=True))
            else:
                break
        usable_at = key.held.usable_at()
        if key.timer is not None:
            key.timer.cancel()
            key.timer = None
        if key.waiters and usable_at is not None:
            loop = asyncio.get_running_loop()
            # A timer may fire a little early.
            key.timer = loop.call_later(max(usable_at - now, 0.001), self._serve, key)

    def _ask_soon(self, key: _Key, now: float) -> None:
        if key.is_due or key.is_asking:
            return
        key.is_due = True
        due_at = key.asked_at + ASK_EVERY_SECONDS
        due_at = now if due_at <= now else math.ceil(due_at / GATHER_SECONDS) * GATHER_SECONDS
        heapq.heappush(self._due, (due_at, key.key_id))
        if self._due[0][0] == due_at:
            self._wake.set()

    async def _keep_leasing(self) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                self._wake.clear()
                await self._until_due()
                # Calls that are just being read join the request.
                await asyncio.sleep(0)
                while keys := self._pop_due():
                    await self._requests.acquire()
                    group.create_task(self._ask(keys)).add_done_callback(lambda _: self._requests.release())

    async def _until_due(self) -> None:
        wait_seconds = self._due[0][0] - self._monotonic() if self._due else None
        if wait_seconds is not None and wait_seconds <= 0:
            return
        try:
            async with asyncio.timeout(wait_seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    def _pop_due(self) -> list[_Key]:
        now = self._monotonic()
        keys: list[_Key] = []
        while self._due and self._due[0][0] <= now and len(keys) < KEYS_PER_REQUEST_MAX:
            key = self._keys[heapq.heappop(self._due)[1]]
            key.is_due = False
            while key.opened and key.opened[0] + WINDOW_SECONDS <= now:
                key.opened.popleft()
            if key.is_idle:
                del self._keys[key.key_id]
            else:
                key.is_asking = True
                keys.append(key)
        return keys

    async def _ask(self, keys: Sequence[_Key]) -> None:
        self._turn += 1
        turn, sent = self._turn, self._monotonic()
        reports = []
        for key in keys:
            key.asked_at = sent
            waiting_count = sum(not waiter.done() for waiter in key.waiters)
            reports.append(key.held.report(key.key_id, waiting_count=waiting_count))
        try:
            leased = await self._lease(self._holder, turn, reports)
        except Exception as error:  # noqa: BLE001  whatever it is, it says nothing about the callers
            log.warning("no slots leased for keys=%d: %r", len(keys), error)
            self._failed(keys)
            return
        received = self._monotonic()
        self._failed([key for key in keys if key.key_id not in leased.leases])
        for key in keys:
            lease = leased.leases.get(key.key_id)
            if lease is None:
                continue
            key.held.answered(lease, turn=turn, now_us=leased.now_us, sent=sent, received=received)
            key.is_asking = key.is_lost = False
            self._answered(key)

    def _answered(self, key: _Key) -> None:
        self._serve(key)
        now = self._monotonic()
        room = key.room(now)
        while len(key.waiters) > room:
            _answer(key.waiters.pop(), key.decision(now, allowed=False))
        self._ask_soon(key, now)

    def _failed(self, keys: Sequence[_Key]) -> None:
        now = self._monotonic()
        for key in keys:
            key.is_asking, key.is_lost = False, True
            while key.waiters:
                _answer(key.waiters.popleft(), key.unknown())
            self._ask_soon(key, now)

    async def _give_back(self) -> None:
        held = [key for key in self._keys.values() if not key.held.is_idle]
        for key in held:
            key.held.taken_count = 0
        for start in range(0, len(held), KEYS_PER_REQUEST_MAX):
            await self._ask(held[start : start + KEYS_PER_REQUEST_MAX])


def _answer(waiter: asyncio.Future[Decision], decision: Decision) -> None:
    if not waiter.done():
        waiter.set_result(decision)


def limited(limiter: Limiter, access: Mapping[str, frozenset[str]]) -> Middleware:
    """Returns the middleware that admits calls within the limits of their keys, and reports the limits in headers.

    It stands inside `authenticated`, and `access` is the same. Refuses with RATE_LIMITED, or with UNAVAILABLE when
    billing does not answer; then polls by business keys are let through.
    """

    def middleware(method: str, inside: Handler) -> Handler:
        service, name = method.split("/")[1:]
        if access[service] is OPEN_TO_ALL:
            return inside
        is_poll = _has_no_side_effects(f"{service}.{name}")

        async def call(request: Any, context: ServicerContext[Any, Any]) -> Any:
            who = caller()
            decision = await limiter.admit(who, may_fail_open=is_poll and who.kind == "business")
            answer_header("x-ratelimit-limit", str(decision.limit))
            answer_header("x-ratelimit-remaining", str(decision.remaining))
            answer_header("x-ratelimit-reset", str(decision.reset_seconds))
            if not decision.allowed:
                (_LIMITED if decision.is_known else _UNKNOWN).inc()
                raise _refusal(decision)
            _ALLOWED.inc()
            return await inside(request, context)

        return call

    return middleware


def _refusal(decision: Decision) -> ServiceError:
    if not decision.is_known:
        return ServiceError(
            Reason.UNAVAILABLE,
            "The limits of the key cannot be read. Try again.",
            retry_after_seconds=str(decision.reset_seconds),
        )
    return ServiceError(
        Reason.RATE_LIMITED,
        f"The key may make {decision.limit} calls in any 60 seconds. "
        f"Try again in {decision.reset_seconds} seconds.",
        retry_after_seconds=str(decision.reset_seconds),
    )


def _has_no_side_effects(method: str) -> bool:
    options = descriptor_pool.Default().FindMethodByName(method).GetOptions()
    return bool(options.idempotency_level == descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS)
