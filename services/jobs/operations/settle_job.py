"""Ending a job by hand, wherever it and its hold are."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from services.common.audit.note import AuditNote
from services.jobs.domain.ledger import HoldState
from services.jobs.domain.states import Status
from services.jobs.next_moves import Place, kept_micros, place_of
from services.jobs.operations.mend_job import Mender, Pair, align_refunds, give_up, look, mend
from services.jobs.refusals import job_completed, job_ended, job_not_found, job_without_result

SETTLE_ACTION = "job.settle"

LOOK_SECONDS = 0.1
LOOKS_MAX = 50
"""How often workers are given time to end the job: for 5 seconds in all."""


class Outcome(StrEnum):
    """How a job is to end."""

    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Settled:
    """What an end by hand changed."""

    job_before: Place
    job_after: Place
    hold_before: HoldState | None
    hold_after: HoldState | None
    given_back_micros: int
    """Of what was set aside or taken. Negative: so much was taken that was not even set aside."""


_ENDED = {Place.COMPLETED: Outcome.COMPLETED, Place.FREE: Outcome.COMPLETED, Place.FAILED: Outcome.FAILED}


async def settle_job(
    job_id: str,
    *,
    outcome: Outcome,
    note: AuditNote,
    mender: Mender,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Settled:
    """Has a job end that has not ended, and has its hold agree with its end in any case. Repeating it changes nothing.

    The workers end it, within the call if they are there.

    Refuses with JOB_NOT_FOUND, with JOB_ENDED when it has ended otherwise, with JOB_NOT_COMPLETED when it is to be
    completed and has no result, and as the ledger does when it cannot be charged.
    """
    before = await look(job_id, mender=mender)
    place = place_of(before.job)
    if place is Place.NOWHERE:
        if before.hold is None or outcome is Outcome.COMPLETED:
            raise job_not_found(job_id)
    elif place in _ENDED:
        if _ENDED[place] is not outcome:
            raise job_completed(job_id) if outcome is Outcome.FAILED else job_ended(job_id, Status.FAILED)
    elif outcome is Outcome.FAILED:
        await give_up(job_id, action=SETTLE_ACTION, note=note, mender=mender)
    elif place is Place.STORED:
        await mender.repairs.hurry(job_id, action=SETTLE_ACTION, note=note)
        mender.notify()
    else:
        raise job_without_result(job_id)
    # The credits go back at once, whether a worker is there or not.
    pair = await look(job_id, mender=mender)
    await mend(job_id, pair, action=SETTLE_ACTION, note=note, mender=mender)
    await _until_ended(job_id, mender=mender, pause=pause)
    await align_refunds(await look(job_id, mender=mender), action=SETTLE_ACTION, note=note, mender=mender)
    return _settled(before, await look(job_id, mender=mender))


async def _until_ended(job_id: str, *, mender: Mender, pause: Callable[[float], Awaitable[None]]) -> None:
    """Waits for the workers to end the job, but not for long: it is theirs now, and on record."""
    for _ in range(LOOKS_MAX):
        jobs = await mender.records.get([job_id])
        if place_of(next(iter(jobs), None)) in {*_ENDED, Place.NOWHERE}:
            return
        await pause(LOOK_SECONDS)


def _settled(before: Pair, after: Pair) -> Settled:
    return Settled(
        job_before=place_of(before.job),
        job_after=place_of(after.job),
        hold_before=None if before.hold is None else before.hold.state,
        hold_after=None if after.hold is None else after.hold.state,
        given_back_micros=kept_micros(before.hold) - kept_micros(after.hold),
    )
