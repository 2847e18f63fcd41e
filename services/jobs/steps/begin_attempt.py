"""PENDING to SUBMITTING: confirm the hold, choose a route, record the attempt."""

import logging
from collections.abc import Callable, Sequence

from services.common.errors import Reason, ServiceError
from services.jobs.credits import HOLD_GONE, UNPAYABLE, recreate_hold
from services.jobs.domain.claims import Candidate, Claim, NoRoomError
from services.jobs.domain.failures import FailureCode
from services.jobs.domain.job import Job
from services.jobs.ports import Ledger
from services.jobs.store.queue.work import SqlWork
from services.jobs.timing import BROKEN_WAIT_SECONDS, CONFIRMED_HOLD_SECONDS, START_DEADLINE_SECONDS

log = logging.getLogger(__name__)


async def begin_attempt(
    claim: Claim,
    *,
    work: SqlWork,
    ledger: Ledger,
    candidates: Callable[[Job, str], Sequence[Candidate]],
    new_token: Callable[[], str],
) -> Claim | None:
    """Records an attempt before any provider is asked.

    Gives the job up if it waited too long, or if its hold is gone. Releases it if no route has room for it.
    """
    if claim.admitted_seconds > START_DEADLINE_SECONDS:
        return await work.give_up(claim, failure=FailureCode.TIMEOUT, detail="not started in time")
    try:
        await _confirm(claim.job, ledger=ledger)
    except ServiceError as error:
        if error.reason not in {*HOLD_GONE, *UNPAYABLE}:
            raise
        return await work.give_up(claim, failure=FailureCode.TIMEOUT, detail=f"hold: {error.reason}")
    number = 1 if claim.attempt is None else claim.attempt.number + 1
    able = candidates(claim.job, f"{claim.job.id}-{number}")
    if not able:
        log.error("job=%s model=%s no route can render it any more", claim.job.id, claim.job.model)
        await work.postpone(claim, seconds=BROKEN_WAIT_SECONDS)
        return None
    try:
        return await work.open_attempt(claim, candidates=able, token=new_token())
    except NoRoomError:
        return None


async def _confirm(job: Job, *, ledger: Ledger) -> None:
    """Makes the hold last for the whole attempt. Refuses as the ledger does."""
    try:
        await ledger.confirm(job.id, lasts_seconds=CONFIRMED_HOLD_SECONDS)
    except ServiceError as error:
        if error.reason is Reason.HOLD_CAPTURED:
            # Captured before this database was restored: the job is rendered again and charged nothing more.
            return
        if error.reason is not Reason.HOLD_NOT_FOUND:
            raise
        await recreate_hold(
            job.id, owner=job.owner, key_id=job.key_id, amount_micros=job.reserved_micros, ledger=ledger
        )
        await ledger.confirm(job.id, lasts_seconds=CONFIRMED_HOLD_SECONDS)
