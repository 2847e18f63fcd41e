"""Delivers what is due: deliveries are claimed in batches, attempted side by side, and recorded in batches."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from services.common.clock import Clock
from services.common.loop import end, repeat
from services.webhooks.capacity import Capacity
from services.webhooks.domain import Answer, Attempt, Delivery, NoAnswer, Outcome, Verdict, judge
from services.webhooks.metrics import ATTEMPTED, DELAY
from services.webhooks.store.deliveries import SqlDeliveries
from services.webhooks.store.membership import BEAT_SECONDS, SqlMembership

log = logging.getLogger(__name__)

CLAIM_MAX = 100
RECORD_MAX = 100
DELIVERIES_MAX = 512
"""What one dispatcher has in hand at the same time, from the claim until the record is committed."""
POLL_SECONDS = 1.0
REOPEN_SECONDS = 1.0
ANNOUNCE_SECONDS = 10.0
STOP_SECONDS = 5.0

Try = Callable[[Delivery], Awaitable[Attempt]]


class Dispatcher:
    """Delivers what is due. Slow receivers do not delay others: claiming continues while attempts run."""

    def __init__(
        self,
        *,
        deliveries: SqlDeliveries,
        membership: SqlMembership,
        attempt: Try,
        announce: Callable[[], Awaitable[int]],
        clock: Clock,
        wake: asyncio.Event,
    ) -> None:
        self._deliveries = deliveries
        self._membership = membership
        self._attempt = attempt
        self._announce = announce
        self._clock = clock
        self._wake = wake
        self._capacity = Capacity()
        self._disabled = asyncio.Event()
        self._attempts: set[asyncio.Task[None]] = set()
        self._verdicts: list[Verdict] = []
        self._judging = asyncio.Event()
        self._in_hand = 0
        self._recorded = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Runs until the block ends; then finishes what is in hand, for STOP_SECONDS, and leaves the rest."""
        async with asyncio.TaskGroup() as group:
            claiming = group.create_task(
                repeat(self.claim_due, name="claim", idle_seconds=POLL_SECONDS, wake=self._wake)
            )
            reopening = group.create_task(
                repeat(self.reopen_abandoned, name="reopen", idle_seconds=REOPEN_SECONDS)
            )
            beating = group.create_task(repeat(self.beat, name="beat", idle_seconds=BEAT_SECONDS))
            announcing = group.create_task(
                repeat(
                    self.announce_disabled,
                    name="announce",
                    idle_seconds=ANNOUNCE_SECONDS,
                    wake=self._disabled,
                )
            )
            recording = group.create_task(
                repeat(self.record_judged, name="record", idle_seconds=POLL_SECONDS, wake=self._judging)
            )
            try:
                yield
            finally:
                await end(claiming, reopening, announcing)
                await self._finish(seconds=STOP_SECONDS)
                await end(beating)
                await self._membership.leave()
                await end(recording)

    async def claim_due(self) -> int:
        """Claims as much as there is room for and starts to attempt it.

        Returns 0 when no more was due that there is room for. When room frees, `wake` is set.
        """
        while self._in_hand >= DELIVERIES_MAX:
            self._recorded.clear()
            await self._recorded.wait()
        room = min(CLAIM_MAX, DELIVERIES_MAX - self._in_hand)
        rooms = self._capacity.rooms()
        claimed = await self._deliveries.claim(deliveries_max=room, rooms=rooms)
        self._in_hand += len(claimed.deliveries)
        self._capacity.begin(claimed.deliveries, rooms=rooms)
        for delivery in claimed.deliveries:
            task = asyncio.create_task(self._deliver(delivery))
            self._attempts.add(task)
            task.add_done_callback(self._attempts.discard)
        return 1 if claimed.is_cut or len(claimed.deliveries) == room else 0

    async def record_judged(self) -> int:
        """Records what came of attempts, the oldest first. What could not be recorded is kept. Returns how many."""
        batch = self._verdicts[:RECORD_MAX]
        if not batch:
            return 0
        recorded = await self._deliveries.record(batch)
        del self._verdicts[: len(batch)]
        self._in_hand -= len(batch)
        has_freed = self._capacity.end([verdict.attempt.delivery for verdict in batch])
        self._recorded.set()
        if has_freed or recorded.due_count:
            self._wake.set()
        if recorded.disabled_count:
            self._disabled.set()
        for verdict in recorded.stale:
            log.warning("event=%s lease lost, %s not recorded", _event_id(verdict), verdict.outcome)
        return len(batch)

    async def reopen_abandoned(self) -> int:
        """Makes due what a stopped dispatcher left behind. Returns the number of deliveries."""
        count = await self._membership.reopen_abandoned()
        if count:
            log.warning("reopened=%d", count)
            self._wake.set()
        return count

    async def beat(self) -> int:
        """Shows others that this dispatcher lives. Returns 0: what it does is done with one beat."""
        await self._membership.beat()
        return 0

    async def announce_disabled(self) -> int:
        """Tells of disabled endpoints and gives up what waits for them. Returns how much was done."""
        count = await self._announce()
        if count:
            self._wake.set()
        return count

    async def _deliver(self, delivery: Delivery) -> None:
        started_at = self._clock()
        try:
            attempt = await self._attempt(delivery)
        except Exception:
            log.exception("event=%s", delivery.event_id)
            fault = NoAnswer(error="internal error", is_ours=True)
            attempt = Attempt(delivery=delivery, started_at=started_at, latency_ms=0, result=fault)
        verdict = judge(attempt)
        _tell(verdict)
        if verdict.outcome is not Outcome.DELIVERED:
            log.info("event=%s outcome=%s %s", delivery.event_id, verdict.outcome, _said(attempt))
        self._capacity.learn(verdict)
        self._verdicts.append(verdict)
        self._judging.set()

    async def _finish(self, *, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while self._in_hand:
                    self._recorded.clear()
                    await self._recorded.wait()
        except TimeoutError:
            log.warning("left to others: %d deliveries", self._in_hand)
        running = list(self._attempts)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _tell(verdict: Verdict) -> None:
    ATTEMPTED[verdict.outcome].inc()
    attempt = verdict.attempt
    since = attempt.delivery.untried_since
    if verdict.outcome is Outcome.DELIVERED and since is not None:
        waited = (attempt.started_at - since).total_seconds() + attempt.latency_ms / 1000
        DELAY.observe(max(0.0, waited))


def _event_id(verdict: Verdict) -> str:
    return verdict.attempt.delivery.event_id


def _said(attempt: Attempt) -> str:
    # Never the answer's body: it is the customer's.
    if isinstance(attempt.result, Answer):
        return f"status={attempt.result.status}"
    return f"error={attempt.result.error}"
