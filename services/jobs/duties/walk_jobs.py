"""Walks jobs: claims due jobs in batches and takes each from step to step until it has to wait or ends."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial

from services.common.errors import Reason, ServiceError
from services.common.loop import end, repeat
from services.common.postgres.connection import DATABASE_OUTAGES
from services.common.telemetry.tracing import span
from services.jobs.domain.claims import Claim, LeaseLostError
from services.jobs.domain.failures import FailureCode
from services.jobs.domain.states import NEXT, State
from services.jobs.lanes import SHARE, Lane, Lanes
from services.jobs.store.queue.work import SqlWork
from services.jobs.timing import (
    CLAIMS_MAX,
    LEASE_SECONDS,
    RENEW_SECONDS,
    STALL_SECONDS_MAX,
    WALK_REST_SECONDS,
    aside_seconds,
    retry_seconds,
)

log = logging.getLogger(__name__)

CLAIM_MAX = 50
POLL_SECONDS = 1.0
DRAIN_SECONDS = 3.0
OUTAGES = (Reason.UNAVAILABLE, Reason.DEADLINE_EXCEEDED)
"""The reasons of calls to a service of ours that is down."""

Step = Callable[[Claim], Awaitable[Claim | None]]
"""Advances a claimed job. Returns the claim if it is still held, None if the job was released or has ended."""


class Walker:
    """Claims due jobs and walks each through its steps until it is released."""

    def __init__(
        self, *, work: SqlWork, steps: Mapping[State, Step], submit: Step, lanes: Lanes | None = None
    ) -> None:
        self._work = work
        self._steps = steps
        self._submit = submit
        self._lanes = lanes or Lanes()
        self._walks: dict[asyncio.Task[None], Claim] = {}

    @asynccontextmanager
    async def running(self, *, wake: asyncio.Event) -> AsyncIterator[None]:
        """Walks due jobs until the block ends; then finishes those under way."""
        wakes = {Lane.WALK: wake, Lane.FETCH: asyncio.Event()}
        self._lanes.freed = lambda lane: wakes[lane].set()
        async with asyncio.TaskGroup() as group:
            claiming = {
                group.create_task(
                    repeat(
                        partial(self.claim_once, lane),
                        name=lane.value,
                        idle_seconds=POLL_SECONDS,
                        wake=wake,
                        rest_seconds=WALK_REST_SECONDS,
                    )
                )
                for lane, wake in wakes.items()
            }
            renewing = group.create_task(repeat(self.renew_once, name="renew", idle_seconds=RENEW_SECONDS))
            try:
                yield
            finally:
                await end(*claiming)
                await self.drain()
                await end(renewing)

    async def claim_once(self, lane: Lane = Lane.WALK) -> int:
        """Claims as many due jobs as a lane has free slots and starts their walks. Returns how many.

        Returns 0 if no slot is free; the lane calls `freed` when one is.
        """
        free = self._lanes.free(lane)
        if free == 0:
            return 0
        claims = await self._work.claim(
            limit=min(CLAIM_MAX, free),
            lease_seconds=LEASE_SECONDS,
            fetching=lane is Lane.FETCH,
            busy=self._lanes.busy(lane),
            share_max=SHARE[lane],
        )
        for claim in claims:
            if claim.claim_count > CLAIMS_MAX and claim.last_error is None:
                log.error(
                    "job=%s state=%s claims=%d its workers died; set aside if this one dies too",
                    *(claim.job.id, claim.state, claim.claim_count),
                )
            self._lanes.enter(claim, lane)
            task = asyncio.create_task(self._walk(claim))
            self._walks[task] = claim
            task.add_done_callback(self._forget)
        return len(claims)

    async def renew_once(self) -> int:
        """Renews the lease of every job being walked."""
        if self._walks:
            await self._work.renew(list(self._walks.values()), lease_seconds=LEASE_SECONDS)
        return 0

    async def drain(self) -> None:
        """Gives running walks DRAIN_SECONDS to finish, then cancels them, and hands their jobs over to other workers."""
        if not self._walks:
            return
        _, running = await asyncio.wait(self._walks, timeout=DRAIN_SECONDS)
        left = [self._walks[task] for task in running]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        if left:
            try:
                await self._work.hand_over(left)
            except Exception:
                log.exception("%d jobs will be taken over when their leases end", len(left))

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._lanes.leave(self._walks.pop(task))

    async def _walk(self, claim: Claim) -> None:
        step = self._step_of(claim)
        try:
            while (moved := await _taken(step, claim)) is not None:
                claim, step = moved, self._step_of(moved)
        except LeaseLostError:
            log.info("job=%s state=%s lease lost", claim.job.id, claim.state)
        except Exception as error:  # noqa: BLE001  whatever the error, the job must be released
            await self._stall(claim, step, error)

    def _step_of(self, claim: Claim) -> Step:
        is_stalled = claim.claim_count > CLAIMS_MAX and claim.stalled_seconds > STALL_SECONDS_MAX
        if is_stalled and State.FAILING in NEXT[claim.state]:
            return self._end_stall
        attempt = claim.attempt
        if claim.state is State.SUBMITTING and attempt is not None and attempt.lease_no == claim.lease_no:
            return self._submit
        return self._steps[claim.state]

    async def _end_stall(self, claim: Claim) -> Claim:
        """Gives up a job that was stalled for too long."""
        detail = f"stalled: {claim.last_error or 'its workers died'}"
        log.error("job=%s state=%s given up; %s", claim.job.id, claim.state, detail)
        return await self._work.give_up(claim, failure=FailureCode.TIMEOUT, detail=detail, may_run=True)

    async def _stall(self, claim: Claim, step: Step, error: Exception) -> None:
        is_outage = isinstance(error, DATABASE_OUTAGES) or (
            isinstance(error, ServiceError) and error.reason in OUTAGES
        )
        described = f"{_name(step)}: {_described(error)}"
        if is_outage:
            # An outage of our own never fails a job: the job is tried again from its last durable state.
            seconds = retry_seconds(claim.check_count)
            log.warning("job=%s state=%s %s", claim.job.id, claim.state, described)
        else:
            seconds = aside_seconds(claim.claim_count)
            log.error(
                "job=%s state=%s claims=%d set aside for %.0f s; step %s",
                *(claim.job.id, claim.state, claim.claim_count, seconds, described),
                exc_info=error if claim.claim_count == 1 else None,
            )
        try:
            await self._work.stall(claim, seconds=seconds, error=described, is_outage=is_outage)
        except Exception:
            log.exception("job=%s will be taken over when its lease ends", claim.job.id)


async def _taken(step: Step, claim: Claim) -> Claim | None:
    """Takes a step, as a span of the trace that the job belongs to."""
    job = claim.job
    if job.traceparent is None:
        return await step(claim)
    named = f"step {_name(step)}"
    with span(named, parent=job.traceparent, job=job.id, account=job.owner.account_id):
        return await step(claim)


def _name(step: Step) -> str:
    function = step.func if isinstance(step, partial) else step
    return getattr(function, "__name__", type(function).__name__).strip("_")


def _described(error: Exception) -> str:
    if isinstance(error, ServiceError):
        return f"{error.reason}: {error.message}"
    return f"{type(error).__name__}: {error}"
