"""Checking that jobs, their places, usage, margins and the ledger agree.

Two databases are read one after the other, so a difference counts only when a second look shows it again.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from services.common.verification.checks import (
    DAY,
    MOMENT,
    ROWS_PER_PAGE_MAX,
    TEXT,
    Check,
    Finding,
    Page,
    Verified,
    verify_page,
)
from services.jobs.domain.ledger import UNRESOLVED, Hold, HoldState, JobRecord, UsagePart
from services.jobs.domain.states import State, Status
from services.jobs.next_moves import kept_micros
from services.jobs.operations.forgotten_jobs import settled_for_good
from services.jobs.ports import Holds, Records

Rule = tuple[str, object, object]
"""Its name, what is expected and what is there."""

_GIVEN_BACK = frozenset({HoldState.RELEASED, HoldState.EXPIRED})

# A request that does not learn that its job was stored gives the hold back: the job is pending then, and about to fail.
# What was captured for a job that failed was refunded, or its amounts do not agree.
_HOLD_STATES: dict[State | Status | None, frozenset[HoldState]] = {
    None: frozenset(HoldState),
    State.PENDING: UNRESOLVED | _GIVEN_BACK,
    State.SUBMITTING: frozenset({HoldState.CONFIRMED}),
    State.PROCESSING: frozenset({HoldState.CONFIRMED}),
    State.STORED: frozenset({HoldState.CONFIRMED, HoldState.CAPTURED}),
    State.FAILING: frozenset(HoldState),
    Status.COMPLETED: frozenset({HoldState.CAPTURED}),
    Status.FAILED: _GIVEN_BACK | {HoldState.CAPTURED},
}
_ENDED = (Status.COMPLETED, Status.FAILED)
PLACES, MARGINS = "places", "margins"
CHECKS = ("jobs", "holds", UsagePart.HOURS.value, UsagePart.DAYS.value, PLACES, MARGINS)
AMOUNT_RULES = frozenset(
    {"job_settled", "job_returned", "job_hold_amount", "job_charged", "job_hold_refunded"}
)
"""Rules that compare micro-credits."""


async def verify_jobs(
    cursor: str | None, *, records: Records, holds: Holds, rows_max: int = ROWS_PER_PAGE_MAX
) -> Verified:
    """Checks one page of jobs, of holds, of usage, of places or of margins: the first, or the one at the cursor that another page gave.

    Changes nothing. Refuses with INVALID_FIELD.
    """
    checks = {
        "jobs": Check(read=partial(_check_jobs, records=records, holds=holds), key=(TEXT,)),
        "holds": Check(read=partial(_check_holds, records=records, holds=holds), key=(TEXT,)),
        UsagePart.HOURS.value: Check(
            read=partial(records.usage_page, UsagePart.HOURS), key=(TEXT, TEXT, MOMENT, TEXT)
        ),
        UsagePart.DAYS.value: Check(
            read=partial(records.usage_page, UsagePart.DAYS), key=(TEXT, TEXT, DAY, TEXT)
        ),
        PLACES: Check(read=records.places_page, key=(TEXT, TEXT, TEXT)),
        MARGINS: Check(read=records.margins_page, key=(TEXT, TEXT, DAY, TEXT)),
    }
    return await verify_page(cursor, checks=checks, rows_max=rows_max)


async def _check_jobs(after: Sequence[Any], *, rows_max: int, records: Records, holds: Holds) -> Page:
    [after_id] = after
    page = await records.page(after_id=after_id, jobs_max=rows_max)
    suspected = await _suspected(page, holds)
    again = await _suspected(await records.get(list(suspected)), holds)
    return Page(
        findings=[
            found for job_id in suspected for found in suspected[job_id] if found in again.get(job_id, ())
        ],
        checked_count=len(page),
        last_key=[page[-1].job_id] if len(page) == rows_max else None,
    )


async def _suspected(jobs: Sequence[JobRecord], holds: Holds) -> dict[str, list[Finding]]:
    """Returns what does not agree, by job. A job moves before its hold does, so it is the hold that is read last."""
    of_job = {hold.hold_id: hold for hold in await holds.get([job.job_id for job in jobs])}
    found = {job.job_id: list(_disagreements(job, of_job.get(job.job_id))) for job in jobs}
    return {job_id: findings for job_id, findings in found.items() if findings}


async def _check_holds(after: Sequence[Any], *, rows_max: int, records: Records, holds: Holds) -> Page:
    [after_id] = after
    page = await holds.page(after_id=after_id, holds_max=rows_max)
    orphans = await _orphans(page, records)
    again = await _orphans(await holds.get([hold.hold_id for hold in orphans]), records)
    return Page(
        findings=[
            Finding(
                rule="hold_without_job",
                row=f"holds {hold.hold_id}",
                detail=f"expected a job or the credits given back, found no job and the hold {hold.state}",
            )
            for hold in orphans
            if hold in again
        ],
        checked_count=len(page),
        last_key=[page[-1].hold_id] if len(page) == rows_max else None,
    )


async def _orphans(holds: Sequence[Hold], records: Records) -> list[Hold]:
    """Returns the holds whose credits are kept for no job. One that is provisional may get its job yet, or goes back."""
    kept = [hold for hold in holds if kept_micros(hold) and hold.state is not HoldState.PROVISIONAL]
    known = {job.job_id for job in await records.get([hold.hold_id for hold in kept])}
    unknown = [hold for hold in kept if hold.hold_id not in known]
    settled = await settled_for_good(unknown, records)
    return [hold for hold in unknown if hold.hold_id not in settled]


def _disagreements(job: JobRecord, hold: Hold | None) -> Iterator[Finding]:
    rules = (*_own_rules(job), *_hold_rules(job, hold))
    for rule, expected, found in rules:
        if expected != found:
            yield Finding(rule=rule, row=f"jobs {job.job_id}", detail=f"expected {expected}, found {found}")


def _own_rules(job: JobRecord) -> Iterator[Rule]:
    has_ended = job.status in _ENDED
    settled = job.charged_micros + job.refunded_micros
    yield "job_settled", job.reserved_micros if has_ended else 0, settled
    yield "job_returned", job.refunds_applied_micros, job.returned_micros
    yield "job_work", "no work" if has_ended else "work", "no work" if job.state is None else "work"
    yield (
        "job_counted",
        "usage of its hour",
        "no usage" if has_ended and not job.is_counted else "usage of its hour",
    )


def _hold_rules(job: JobRecord, hold: Hold | None) -> Iterator[Rule]:
    has_ended = job.status in _ENDED
    if hold is None:
        is_needed = not has_ended or job.charged_micros > 0
        yield "job_without_hold", "a hold", "no hold" if is_needed else "a hold"
        return
    yield "job_hold_owner", f"{job.account_id} {job.environment}", f"{hold.account_id} {hold.environment}"
    yield "job_hold_amount", job.reserved_micros, hold.amount_micros
    is_free = has_ended and job.charged_micros == 0
    taken_micros = kept_micros(hold) if is_free else hold.captured_micros
    yield "job_charged", taken_micros if has_ended else 0, job.charged_micros
    states = _HOLD_STATES[job.status if has_ended else job.state]
    if is_free:
        states |= _GIVEN_BACK
    yield "job_hold_state", hold.state if hold.state in states else " or ".join(sorted(states)), hold.state
    if is_free:
        return
    refunded_max = job.returned_micros + job.refunds_waiting_micros
    expected = min(max(hold.refunded_micros, job.returned_micros), refunded_max)
    yield "job_hold_refunded", expected, hold.refunded_micros
