"""Cancelling a job, as far as somebody can still stop it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from services.jobs.domain.claims import Claim, LeaseLostError
from services.jobs.domain.failures import FailureCode
from services.jobs.domain.job import Job
from services.jobs.domain.requests import Owner
from services.jobs.domain.states import State, Status
from services.jobs.operations.asked_lately import AskedLately
from services.jobs.ports import Jobs, Providers
from services.jobs.provider_lookup import provider_of
from services.jobs.refusals import job_ended, job_not_cancelled, job_renders, job_stored, provider_not_asked
from services.jobs.store.queue.withdrawals import SqlWithdrawals
from services.jobs.store.queue.work import SqlWork
from services.jobs.timing import CANCEL_TIMEOUT_SECONDS, LEASE_SECONDS
from services.upstream.provider import Done, Pending, Provider, UpstreamError

LOOKS_SECONDS = (0.1, 0.2, 0.4, 0.8, 1.5)
"""After which waits a job is looked at again that nobody may touch at the moment: 3 seconds in all."""
ASKED_SECONDS = 3.0
"""For how long a provider's answer is given to every caller who wants the same job stopped."""
LEAST_SECONDS = 0.1
"""How long a provider that was slow to tell about the task may take to stop it."""


@dataclass(frozen=True, kw_only=True)
class Canceller:
    """Cancels jobs for their owners."""

    jobs: Jobs
    work: SqlWork
    withdrawals: SqlWithdrawals
    providers: Providers
    return_credits: Callable[[Claim], Awaitable[None]]
    """The step from FAILING to the end."""
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    asked: AskedLately = field(default_factory=partial(AskedLately, seconds=ASKED_SECONDS))

    async def cancel(self, job_id: str, *, owner: Owner) -> Job:
        """Returns the job as cancelled and refunded, by this call or an earlier one.

        A worker that has the job loses it. If the job completes at the same time, the first commit wins. A provider is
        asked only about a job that it has and that is not known to be rendered, and once in ASKED_SECONDS.
        Refuses with JOB_NOT_FOUND, JOB_STORED, JOB_ENDED, JOB_NOT_CANCELABLE, or UNAVAILABLE when no provider answered.
        """
        state: State | None = None
        for seconds in (*LOOKS_SECONDS, None):
            job = await self.jobs.get(job_id, owner=owner)
            if job.status in {Status.COMPLETED, Status.FAILED}:
                if job.failure is FailureCode.CANCELLED:
                    return job
                raise job_ended(job_id, job.status)
            if await self._end(job):
                continue
            state = await self.withdrawals.state(job_id)
            if state is State.STORED:
                raise job_stored(job_id)
            if seconds is not None:
                await self.pause(seconds)
        raise job_not_cancelled(job_id, state)

    async def _end(self, job: Job) -> bool:
        """Takes the job and ends it, if its state allows. Returns whether it did; else another has it, or had it first."""
        try:
            claim = await self.withdrawals.withdraw(
                job.id, failure=FailureCode.CANCELLED, lease_seconds=LEASE_SECONDS
            )
            if claim is None:
                async with self.asked.asking(job.id):
                    claim = await self._stopped(job)
            if claim is None:
                return False
            await self.return_credits(claim)
        except LeaseLostError:
            return False
        return True

    async def _stopped(self, job: Job) -> Claim | None:
        """Has the provider stop the task, and gives the job up. None: the job is not in PROCESSING, or no longer."""
        attempt = await self.withdrawals.attempt(job.id)
        if attempt is None:
            return None
        if job.started_at is not None:
            raise job_renders(job.id)
        assert attempt.task_id is not None
        deadline = _now() + CANCEL_TIMEOUT_SECONDS
        try:
            provider = provider_of(attempt, job.owner.environment, self.providers)
            # Asked before the job is taken: a worker that fetches a result must not lose it to hopeless cancellations.
            found = await provider.check(attempt.task_id, timeout_seconds=CANCEL_TIMEOUT_SECONDS)
            if isinstance(found, Done) or (isinstance(found, Pending) and found.running):
                raise job_renders(job.id)
            claim = await self.withdrawals.steal_lease(job.id, lease_seconds=LEASE_SECONDS)
            if claim is None:
                return None
            seconds = max(deadline - _now(), LEAST_SECONDS)
            return await self._stop(claim, attempt.task_id, provider=provider, timeout_seconds=seconds)
        except UpstreamError as error:
            raise provider_not_asked(job.id) from error

    async def _stop(self, claim: Claim, task_id: str, *, provider: Provider, timeout_seconds: float) -> Claim:
        is_stopped = False
        try:
            is_stopped = await provider.cancel(task_id, timeout_seconds=timeout_seconds)
        finally:
            if not is_stopped:
                with suppress(LeaseLostError):
                    await self.work.postpone(claim, seconds=0)
        if not is_stopped:
            raise job_renders(claim.job.id)
        return await self.work.give_up(claim, failure=FailureCode.CANCELLED, detail="cancelled on request")


def _now() -> float:
    return asyncio.get_running_loop().time()
