"""A job whose id was reserved before it was made: however often its creation dies and is repeated, there is one."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from services.common.errors import Reason, ServiceError
from services.common.reservation import ReservationSpentError, ReservedId
from services.jobs.domain import Job, Owner, Status
from services.jobs.ports import Jobs, Ledger

HOLD_SECONDS = 600
"""As long as a new hold lasts."""
GONE = frozenset({Reason.HOLD_EXPIRED, Reason.HOLD_RELEASED})


async def find_reserved(reserved: ReservedId | None, *, owner: Owner, jobs: Jobs) -> Job | None:
    """Returns the job that an earlier run of the same request made, as it was when it was accepted."""
    if reserved is None or not reserved.is_repeated:
        return None
    found = await jobs.get(reserved.id, owner=owner)
    return None if found is None else replace(found, status=Status.PENDING, started_at=None)


async def store_reserved(
    job: Job, reserved: ReservedId, *, store: Callable[[Job], Awaitable[None]], jobs: Jobs, ledger: Ledger
) -> Job:
    """Sets the price aside and stores the job. Of what failed nothing is undone: repeating it goes on from there.

    Refuses with CREDITS_INSUFFICIENT or SPEND_LIMIT_EXCEEDED. Raises ReservationSpentError.
    """
    if not reserved.is_repeated:
        await ledger.hold(job.id, owner=job.owner, key_id=job.key_id, amount_micros=job.reserved_micros)
        await store(job)
        return job
    await _hold_again(job, ledger=ledger)
    await store(job)
    return await find_reserved(reserved, owner=job.owner, jobs=jobs) or job


async def _hold_again(job: Job, *, ledger: Ledger) -> None:
    """Makes sure that a hold, which may be an old one, lasts until the job is begun."""
    try:
        await ledger.hold(job.id, owner=job.owner, key_id=job.key_id, amount_micros=job.reserved_micros)
        await ledger.confirm(job.id, lasts_seconds=HOLD_SECONDS)
    except ServiceError as error:
        if error.reason is Reason.HOLD_MISMATCH:
            # The price has changed since. What is held by the old one goes back first.
            await _release(job, ledger=ledger)
        elif error.reason not in GONE:
            raise
        raise ReservationSpentError("The task could not be accepted. Please try again.") from error


async def _release(job: Job, *, ledger: Ledger) -> None:
    try:
        await ledger.release(job.id)
    except ServiceError as error:
        if error.reason not in GONE:
            raise
