"""A job whose id was reserved before it was made: however often its creation dies and is repeated, there is one."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from services.common.errors import Reason, ServiceError
from services.common.idempotency.reservation import ReservationSpentError, ReservedId
from services.jobs.domain.job import Job
from services.jobs.domain.ledger import HOLD_REUSE_SECONDS_MAX, UNRESOLVED
from services.jobs.domain.requests import Owner
from services.jobs.domain.states import Status
from services.jobs.ports import Jobs, Ledger

GONE = frozenset({Reason.HOLD_EXPIRED, Reason.HOLD_RELEASED})


async def find_reserved(reserved: ReservedId | None, *, owner: Owner, jobs: Jobs) -> Job | None:
    """Returns the job that an earlier run of the same request made, as it was when it was accepted."""
    if reserved is None or not reserved.is_repeated:
        return None
    found = await jobs.find(reserved.id, owner=owner)
    return None if found is None else replace(found, status=Status.PENDING, started_at=None)


async def store_reserved(
    job: Job, reserved: ReservedId, *, store: Callable[[Job], Awaitable[None]], jobs: Jobs, ledger: Ledger
) -> Job:
    """Sets the price aside and stores the job. Of what failed nothing is undone: repeating it goes on from there.

    Refuses with CREDITS_INSUFFICIENT, SPEND_LIMIT_EXCEEDED or, giving the credits back, JOB_LIMIT_REACHED.
    Raises ReservationSpentError.
    """
    if not reserved.is_repeated:
        await ledger.hold(job.id, owner=job.owner, key_id=job.key_id, amount_micros=job.reserved_micros)
        await _store(job, store=store, ledger=ledger)
        return job
    if await _is_held_again(job, ledger=ledger):
        await _store(job, store=store, ledger=ledger)
        return await find_reserved(reserved, owner=job.owner, jobs=jobs) or job
    # Looked for again: an earlier run may have stored it meanwhile, but with an old hold it no longer can.
    found = await find_reserved(reserved, owner=job.owner, jobs=jobs)
    if found is None:
        await _release(job, ledger=ledger)
        raise ReservationSpentError("The task could not be accepted. Please try again.")
    return found


async def _store(job: Job, *, store: Callable[[Job], Awaitable[None]], ledger: Ledger) -> None:
    try:
        await store(job)
    except ServiceError as error:
        if error.reason is Reason.JOB_LIMIT_REACHED:
            # That the job is not stored is certain, and nobody knows when it is tried again.
            await _release(job, ledger=ledger)
        raise


async def _is_held_again(job: Job, *, ledger: Ledger) -> bool:
    """Returns whether there is a hold for the job that is neither given back nor so old that it is about to be."""
    try:
        hold = await ledger.hold(
            job.id, owner=job.owner, key_id=job.key_id, amount_micros=job.reserved_micros
        )
    except ServiceError as error:
        if error.reason is Reason.HOLD_MISMATCH:
            # The price has changed since.
            return False
        raise
    age_seconds = (job.created_at - hold.created_at).total_seconds()
    return hold.state in UNRESOLVED and age_seconds < HOLD_REUSE_SECONDS_MAX


async def _release(job: Job, *, ledger: Ledger) -> None:
    try:
        await ledger.release(job.id)
    except ServiceError as error:
        if error.reason not in GONE:
            raise
