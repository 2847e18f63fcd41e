"""Having all jobs and holds agree, as after one of the two databases was restored and the other not."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from services.common.audit.note import AuditNote
from services.common.clock import Clock
from services.common.errors import ServiceError
from services.common.paging import invalid_token
from services.jobs.domain.ledger import ORPHAN_SECONDS
from services.jobs.next_moves import (
    Holding,
    Move,
    Place,
    holding_of,
    next_move,
    place_of,
    refunds_unknown_micros,
)
from services.jobs.operations.forgotten_jobs import settled_for_good
from services.jobs.operations.mend_job import Mender, Pair, align_refunds, look, mend

RECONCILE_ACTION = "job.reconcile"
"""What audit entries call a repair by `reconcile`."""


ROWS_MAX = 200
REFUNDS = "make refunds again, or count them"


@dataclass(frozen=True, kw_only=True)
class Mended:
    """A job and its hold that did not agree, and what was done about it."""

    job_id: str
    place: Place
    holding: Holding
    move: str
    refusal: str
    """Why it could not be done. Empty: it was."""


@dataclass(frozen=True, kw_only=True)
class Reconciled:
    """What was found in a page."""

    mended: Sequence[Mended]
    checked_count: int
    next_page_token: str | None


async def reconcile(
    cursor: str | None,
    *,
    is_trial: bool,
    note: AuditNote,
    mender: Mender,
    clock: Clock,
    rows_max: int = ROWS_MAX,
) -> Reconciled:
    """Has one page of jobs, or of holds without jobs, agree: the first, or the one at the cursor that another page gave.

    A trial only tells. What cannot be done keeps no other from it. Refuses with INVALID_FIELD.
    """
    part, _, after_id = (cursor or "jobs/").partition("/")
    if part == "jobs":
        ids, suspects = await _jobs_page(after_id, rows_max=rows_max, mender=mender)
    elif part == "holds":
        ids, suspects = await _holds_page(after_id, rows_max=rows_max, mender=mender, clock=clock)
    else:
        raise invalid_token(cursor or "")
    found = [await _reconcile(job_id, is_trial=is_trial, note=note, mender=mender) for job_id in suspects]
    following = f"{part}/{ids[-1]}" if len(ids) == rows_max else {"jobs": "holds/"}.get(part)
    return Reconciled(
        mended=[each for each in found if each is not None],
        checked_count=len(ids),
        next_page_token=following,
    )


async def _jobs_page(after_id: str, *, rows_max: int, mender: Mender) -> tuple[list[str], list[str]]:
    """Returns the ids of a page of jobs, and those that do not agree with their holds."""
    jobs = await mender.records.page(after_id=after_id, jobs_max=rows_max)
    ids = [job.job_id for job in jobs]
    holds = {hold.hold_id: hold for hold in await mender.holds.get(ids)}
    pairs = [Pair(job=job, hold=holds.get(job.job_id)) for job in jobs]
    return ids, [pair.job.job_id for pair in pairs if pair.job is not None and _is_off(pair)]


async def _holds_page(
    after_id: str, *, rows_max: int, mender: Mender, clock: Clock
) -> tuple[list[str], list[str]]:
    """Returns the ids of a page of holds, and those that belong to no job and whose job will not come any more."""
    holds = await mender.holds.page(after_id=after_id, holds_max=rows_max)
    ids = [hold.hold_id for hold in holds]
    known = {job.job_id for job in await mender.records.get(ids)}
    old = clock() - timedelta(seconds=ORPHAN_SECONDS)
    orphans = [hold for hold in holds if hold.hold_id not in known and hold.created_at <= old]
    settled = await settled_for_good(orphans, mender.records)
    return ids, [
        hold.hold_id for hold in orphans if hold.hold_id not in settled and _is_off(Pair(job=None, hold=hold))
    ]


def _is_off(pair: Pair) -> bool:
    return (
        next_move(pair.job, pair.hold) is not Move.AGREE or refunds_unknown_micros(pair.job, pair.hold) != 0
    )


async def _reconcile(job_id: str, *, is_trial: bool, note: AuditNote, mender: Mender) -> Mended | None:
    """Looks again, and has a job and its hold agree. None: they do by now."""
    pair = await look(job_id, mender=mender)
    if not _is_off(pair):
        return None
    move, refusal = next_move(pair.job, pair.hold), ""
    try:
        if not is_trial:
            await mend(job_id, pair, action=RECONCILE_ACTION, note=note, mender=mender)
            now = await look(job_id, mender=mender)
            await align_refunds(now, action=RECONCILE_ACTION, note=note, mender=mender)
    except ServiceError as error:
        refusal = f"{error.reason}: {error.message}"
    return Mended(
        job_id=job_id,
        place=place_of(pair.job),
        holding=holding_of(pair.hold),
        move=REFUNDS if move is Move.AGREE else move.value,
        refusal=refusal,
    )
