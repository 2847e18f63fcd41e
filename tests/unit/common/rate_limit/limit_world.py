"""Processes that limit calls, and a billing that leases them slots over a network that may lose and delay anything."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Self, TypeVar

from services.billing.domain import KeyCalls
from services.billing.operations.lease_calls import lease_slots
from services.common.auth.authentication import Caller
from services.common.rate_limit.limiter import Decision, Limiter
from services.common.rate_limit.protocol import CallReport, Leased

Answer = TypeVar("Answer")
BILLING_AHEAD_SECONDS = 12_345.678901


@dataclass(frozen=True)
class Passage:
    """What happens to one request."""

    there_seconds: float = 0.001
    back_seconds: float = 0.001
    lost: str = ""
    """`there`: it never arrives; `back`: its answer never does; `late`: it arrives when nobody waits for it any more."""


GOOD = Passage()


def caller_of(limit: int, *, key_id: str = "key_1", kind: str = "business") -> Caller:
    return Caller(
        key_id=key_id,
        account_id="acct_1",
        environment="live",
        contract="seedancee2",
        kind=kind,
        calls_per_minute=limit,
    )


class Billing:
    """The slots of keys in memory, and every request that came."""

    def __init__(self, limit: int, passages: Iterable[Passage] = ()) -> None:
        self.limit = limit
        self.calls: dict[str, KeyCalls] = {}
        self.requests: list[tuple[float, str, tuple[str, ...]]] = []
        self._late: list[asyncio.Task[None]] = []
        self._passages = itertools.chain(passages, itertools.repeat(GOOD))

    async def lease(self, holder: str, turn: int, reports: Sequence[CallReport]) -> Leased:
        passage = next(self._passages)
        if passage.lost == "late":
            self._late.append(asyncio.create_task(self._arrive_late(passage, holder, turn, reports)))
        else:
            await asyncio.sleep(passage.there_seconds)
        if passage.lost in ("there", "late"):
            raise ConnectionError
        leased = self._leased(holder, turn, reports)
        await asyncio.sleep(passage.back_seconds)
        if passage.lost == "back":
            raise ConnectionError
        return leased

    async def _arrive_late(
        self, passage: Passage, holder: str, turn: int, reports: Sequence[CallReport]
    ) -> None:
        await asyncio.sleep(passage.there_seconds + passage.back_seconds)
        self._leased(holder, turn, reports)

    def _leased(self, holder: str, turn: int, reports: Sequence[CallReport]) -> Leased:
        now = asyncio.get_running_loop().time()
        now_us = int((now + BILLING_AHEAD_SECONDS) * 1_000_000)
        self.requests.append((now, holder, tuple(report.key_id for report in reports)))
        leases = {}
        for report in reports:
            known = self.calls.get(report.key_id)
            calls = KeyCalls(
                key_id=report.key_id,
                calls_per_minute=self.limit,
                cooling=known.cooling if known else (),
                held=known.held if known else (),
            )
            changed, lease = lease_slots(calls, report, holder=holder, turn=turn, now_us=now_us)
            if lease is not None:
                self.calls[report.key_id] = changed
                leases[report.key_id] = lease
        return Leased(now_us=now_us, leases=leases)


class World:
    """Any number of processes. A dead one is replaced by another with nothing of its memory."""

    def __init__(self, billing: Billing, *, processes: int) -> None:
        self.billing = billing
        self.admitted: list[float] = []
        self._names = itertools.count(1)
        self._stacks = [AsyncExitStack() for _ in range(processes)]
        self.limiters: list[Limiter] = []

    async def __aenter__(self) -> Self:
        for stack in self._stacks:
            self.limiters.append(await self._start(stack))
        return self

    async def __aexit__(self, *_: object) -> None:
        for stack in self._stacks:
            await stack.aclose()

    async def _start(self, stack: AsyncExitStack) -> Limiter:
        loop = asyncio.get_running_loop()
        limiter = Limiter(self.billing.lease, holder=f"holder-{next(self._names)}", monotonic=loop.time)
        await stack.enter_async_context(limiter.running())
        return limiter

    async def replace(self, process: int) -> None:
        """Kills a process: it tells nobody what it did."""
        self.limiters[process]._lease = _nobody
        await self._stacks[process].aclose()
        self._stacks[process] = AsyncExitStack()
        self.limiters[process] = await self._start(self._stacks[process])

    async def call(
        self,
        limit: int,
        *,
        process: int = 0,
        key_id: str = "key_1",
        kind: str = "business",
        poll: bool = False,
    ) -> Decision:
        who = caller_of(limit, key_id=key_id, kind=kind)
        decision = await self.limiters[process].admit(who, may_fail_open=poll)
        if decision.allowed:
            self.admitted.append(asyncio.get_running_loop().time())
        return decision


async def _nobody(holder: str, turn: int, reports: Sequence[CallReport]) -> Leased:
    raise ConnectionError


def shortest_time_of(count: int, moments: Sequence[float]) -> float:
    """The shortest time in which so many calls and one more were let through."""
    ordered = sorted(moments)
    return min((later - first for first, later in zip(ordered, ordered[count:], strict=False)), default=1e9)


async def act_at(acts: Iterable[tuple[float, Callable[[], Awaitable[Answer]]]]) -> list[Answer]:
    """Acts at moments from now on, and returns the answers in the order they were given in."""
    loop = asyncio.get_running_loop()
    began_at = loop.time()

    async def later(moment: float, act: Callable[[], Awaitable[Answer]]) -> Answer:
        await asyncio.sleep(began_at + moment - loop.time())
        return await act()

    return await asyncio.gather(*(later(moment, act) for moment, act in acts))
