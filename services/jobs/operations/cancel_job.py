"""Cancelling a job, as far as somebody can still stop it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from services.common.errors import Reason, ServiceError
from services.jobs.domain.claims import Claim, LeaseLostError
from services.jobs.domain.failures import FailureCode
from services.jobs.domain.job import Job
from services.jobs.domain.requests import Owner
from services.jobs.domain.states import State, Status
from services.jobs.operations.asked_lately import AskedLately
from services.jobs.operations.fail_job import job_ended
from services.jobs.operations.get_job import get_job
from services.jobs.ports import Jobs, Providers
from services.jobs.provider_lookup import provider_of
from services.jobs.store.queue.withdrawals import SqlWithdrawals
from services.jobs.store.queue.work import SqlWork
from services.jobs.timing import CANCEL_TIMEOUT_SECONDS, LEASE_SECONDS
from services.upstream.provider import Done, Pending, Provider, UpstreamError

LOOKS_SECONDS = (0.1, 0.2, 0.4, 0.8, 1.5)
"""After which waits a job is looked at again that nobody may touch at the moment: 3 seconds in all."""
ASKED_SECONDS = 3.0
"""So long what a provider said is good enough for everybody who wants the same job stopped."""
LEAST_SECONDS = 0.1
"""A provider that was slow to tell about the task is given so much to stop it."""
RETRY_AFTER_SECONDS = "3"


@dataclass(frozen=True, kw_only=True)
class Canceller:
    """What it takes to cancel jobs."""

    jobs: Jobs
    work: SqlWork
    withdrawals: SqlWithdrawals
    providers: Providers
    return_credits: Callable[[Claim], Awaitable[None]]
    """The step from FAILING to the end."""
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    asked: AskedLately = field(default_factory=partial(AskedLately, seconds=ASKED_SECONDS))


async def cancel_job(job_id: str, *, owner: Owner, canceller: Canceller) -> Job:
    """Returns the job as cancelled and refunded, whether by this call or an earlier one.

    Whoever works on the job loses it; of this and its completion, the first one to be committed wins. A provider is
    asked only about a job that it has and that is not known to be rendered, and once in ASKED_SECONDS.
    Refuses with JOB_NOT_FOUND, JOB_STORED, JOB_ENDED, JOB_NOT_CANCELABLE, or UNAVAILABLE when nobody could be asked.
    """
    state: State | None = None
    for seconds in (*LOOKS_SECONDS, None):
        job = await get_job(job_id, owner=owner, jobs=canceller.jobs)
        if job.status in {Status.COMPLETED, Status.FAILED}:
            if job.failure is FailureCode.CANCELLED:
                return job
            raise job_ended(job_id, job.status)
        if await _cancelled(job, canceller=canceller):
            continue
        state = await canceller.withdrawals.state(job_id)
        if state is State.STORED:
            message = f"The result of job {job_id} is stored: it is about to complete."
            raise ServiceError(Reason.JOB_STORED, message, job_id=job_id)
        if seconds is not None:
            await canceller.pause(seconds)
    raise _still(state, job_id)


async def _cancelled(job: Job, *, canceller: Canceller) -> bool:
    """Takes the job and ends it, if its state allows. Returns whether it did; else another has it, or had it first."""
    try:
        claim = await canceller.withdrawals.withdraw(
            job.id, failure=FailureCode.CANCELLED, lease_seconds=LEASE_SECONDS
        )
        if claim is None:
            async with canceller.asked.asking(job.id):
                claim = await _stopped(job, canceller=canceller)
        if claim is None:
            return False
        await canceller.return_credits(claim)
    except LeaseLostError:
        return False
    return True


async def _stopped(job: Job, *, canceller: Canceller) -> Claim | None:
    """Has the provider stop the task, and gives the job up. None: the job is not in PROCESSING, or no longer."""
    attempt = await canceller.withdrawals.attempt(job.id)
    if attempt is None:
        return None
    if job.started_at is not None:
        raise _runs(job.id)
    assert attempt.task_id is not None
    deadline = _now() + CANCEL_TIMEOUT_SECONDS
    try:
        provider = provider_of(attempt, job.owner.environment, canceller.providers)
        # Asked before the job is taken: whoever fetches a result must not lose it to hopeless cancellations.
        found = await provider.check(attempt.task_id, timeout_seconds=CANCEL_TIMEOUT_SECONDS)
        if isinstance(found, Done) or (isinstance(found, Pending) and found.running):
            raise _runs(job.id)
        claim = await canceller.withdrawals.steal_lease(job.id, lease_seconds=LEASE_SECONDS)
        if claim is None:
            return None
        seconds = max(deadline - _now(), LEAST_SECONDS)
        return await _stop(
            claim, attempt.task_id, provider=provider, canceller=canceller, timeout_seconds=seconds
        )
    except UpstreamError as error:
        message = f"Whether job {job.id} can still be stopped could not be found out. It goes on. Try again."
        raise ServiceError(
            Reason.UNAVAILABLE, message, job_id=job.id, retry_after_seconds=RETRY_AFTER_SECONDS
        ) from error


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _stop(
    claim: Claim, task_id: str, *, provider: Provider, canceller: Canceller, timeout_seconds: float
) -> Claim:
    is_stopped = False
    try:
        is_stopped = await provider.cancel(task_id, timeout_seconds=timeout_seconds)
    finally:
        if not is_stopped:
            with suppress(LeaseLostError):
                await canceller.work.postpone(claim, seconds=0)
    if not is_stopped:
        raise _runs(claim.job.id)
    return await canceller.work.give_up(claim, failure=FailureCode.CANCELLED, detail="cancelled on request")


def _runs(job_id: str) -> ServiceError:
    message = f"Job {job_id} is being rendered: the provider can no longer stop it."
    return ServiceError(Reason.JOB_NOT_CANCELABLE, message, job_id=job_id)


def _still(state: State | None, job_id: str) -> ServiceError:
    facts = {"job_id": job_id, "retry_after_seconds": RETRY_AFTER_SECONDS}
    if state is State.SUBMITTING:
        message = f"Job {job_id} is being handed to a provider. Try again in a few seconds."
        return ServiceError(Reason.JOB_NOT_CANCELABLE, message, **facts)
    message = f"Job {job_id} is about to end, and its credits could not be given back yet. Try again."
    return ServiceError(Reason.UNAVAILABLE, message, **facts)
