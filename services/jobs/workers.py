"""Which step runs on which job: jobs are claimed in batches and each is walked as far as it goes."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from services.common.errors import ServiceError
from services.common.loop import repeat
from services.jobs.domain import (
    Claim,
    LeaseLostError,
    State,
)
from services.jobs.ports import Work
from services.jobs.steps.timing import LEASE_SECONDS, RENEW_SECONDS, retry_seconds

log = logging.getLogger(__name__)

WALKS_MAX = 100
"""Jobs that one worker moves at the same time."""
CLAIM_MAX = 50
POLL_SECONDS = 1.0
DRAIN_SECONDS = 3.0

Step = Callable[[Claim], Awaitable[Claim | None]]
"""Moves a claimed job on. Returns the claim when it is still held, None when the job was let go or ended."""


class Walker:
    """Claims due jobs and walks each through its steps until it is let go."""

    def __init__(self, *, work: Work, steps: Mapping[State, Step], submit: Step) -> None:
        self._work = work
        self._steps = steps
        self._submit = submit
        self._walks: dict[asyncio.Task[None], Claim] = {}
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def running(self, *, wake: asyncio.Event) -> AsyncIterator[None]:
        """Walks whatever is due until the block ends; then finishes what is under way."""
        async with asyncio.TaskGroup() as group:
            claiming = group.create_task(
                repeat(self.claim_once, name="claim", idle_seconds=POLL_SECONDS, wake=wake)
            )
            renewing = group.create_task(repeat(self.renew_once, name="renew", idle_seconds=RENEW_SECONDS))
            try:
                yield
            finally:
                claiming.cancel()
                await asyncio.wait({claiming})
                await self.drain()
                renewing.cancel()

    async def claim_once(self) -> int:
        """Claims as many due jobs as there is room for and starts their walks. Returns how many."""
        while len(self._walks) >= WALKS_MAX:
            self._freed.clear()
            await self._freed.wait()
        room = min(CLAIM_MAX, WALKS_MAX - len(self._walks))
        claims = await self._work.claim(limit=room, lease_seconds=LEASE_SECONDS)
        for claim in claims:
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
        """Lets running walks finish for DRAIN_SECONDS, then stops them; their leases end by themselves."""
        if not self._walks:
            return
        _, running = await asyncio.wait(self._walks, timeout=DRAIN_SECONDS)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _forget(self, task: asyncio.Task[None]) -> None:
        del self._walks[task]
        self._freed.set()

    async def _walk(self, claim: Claim) -> None:
        current: Claim | None = claim
        try:
            while current is not None:
                claim = current
                current = await self._step_of(claim)(claim)
        except LeaseLostError:
            log.info("job=%s state=%s lease lost", claim.job.id, claim.state)
        except Exception as error:  # noqa: BLE001  whatever it was, the job must be let go
            await self._retry_later(claim, error)

    def _step_of(self, claim: Claim) -> Step:
        attempt = claim.attempt
        if claim.state is State.SUBMITTING and attempt is not None and attempt.lease_no == claim.lease_no:
            return self._submit
        return self._steps[claim.state]

    async def _retry_later(self, claim: Claim, error: Exception) -> None:
        # An outage of our own never fails a job: it is let go, and tried again from its last durable state.
        if isinstance(error, ServiceError):
            log.warning(
                "job=%s state=%s reason=%s %s", claim.job.id, claim.state, error.reason, error.message
            )
        else:
            log.error("job=%s state=%s", claim.job.id, claim.state, exc_info=error)
        try:
            await self._work.postpone(claim, seconds=retry_seconds(claim.check_count), checked=True)
        except Exception:
            log.exception("job=%s will be taken over when its lease ends", claim.job.id)
