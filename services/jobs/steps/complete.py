"""STORED to completed: capture the credits, publish the result, then end the job in one commit."""

import logging
from dataclasses import replace

from services.common.clock import Clock
from services.common.errors import Reason, ServiceError
from services.jobs.credits import HOLD_GONE, UNPAYABLE, recreate_hold
from services.jobs.domain.claims import Claim
from services.jobs.domain.failures import FailureCode
from services.jobs.domain.job import Job, charge_micros
from services.jobs.domain.states import Status
from services.jobs.media_links import Links, as_stored, shown
from services.jobs.ports import Ledger, Media, RenderEvent, ResultUnavailableError
from services.jobs.store.queue.work import SqlWork
from services.jobs.timing import retry_seconds

log = logging.getLogger(__name__)


async def complete(
    claim: Claim,
    *,
    work: SqlWork,
    ledger: Ledger,
    media: Media,
    clock: Clock,
    render_event: RenderEvent,
    links: Links = as_stored,
) -> Claim | None:
    """Charges what was delivered, returns the rest, publishes the result and ends the job.

    After the charge the job can only complete, so no result is public without a completed job. If nothing can be charged
    any more, the job is given up. If an earlier run captured an amount, that amount is the charge.
    """
    job, attempt = claim.job, claim.attempt
    assert job.output is not None
    assert attempt is not None
    try:
        amount = await _captured(job, charge_micros(job, job.output.duration_seconds), ledger=ledger)
    except ServiceError as error:
        if error.reason not in {*HOLD_GONE, *UNPAYABLE}:
            raise
        log.error("job=%s reason=%s its result is stored but cannot be charged", job.id, error.reason)  # noqa: TRY400
        return await work.give_up(claim, failure=FailureCode.TIMEOUT, detail=f"hold: {error.reason}")
    try:
        await media.publish(job, secret=attempt.token)
    except ResultUnavailableError as error:
        log.warning("job=%s charged, but its result cannot be published: %s", job.id, error)
        await work.postpone(claim, seconds=retry_seconds(claim.check_count), checked=True)
        return None
    ended = replace(
        job,
        status=Status.COMPLETED,
        charged_micros=amount,
        refunded_micros=job.reserved_micros - amount,
        ended_at=(now := clock()),
    )
    await work.finish(claim, ended, event=render_event(job, await shown(ended, links), now))
    return None


async def _captured(job: Job, amount_micros: int, *, ledger: Ledger) -> int:
    """Captures an amount. Returns what is captured, which is another amount if that was captured before."""
    try:
        await ledger.capture(job.id, amount_micros=amount_micros)
    except ServiceError as error:
        if error.reason is Reason.HOLD_MISMATCH:
            hold = await ledger.find(job.id)
            assert hold is not None, "a captured hold is never deleted"
            return hold.captured_micros
        if error.reason is not Reason.HOLD_NOT_FOUND:
            raise
        await recreate_hold(
            job.id, owner=job.owner, key_id=job.key_id, amount_micros=job.reserved_micros, ledger=ledger
        )
        await ledger.capture(job.id, amount_micros=amount_micros)
    return amount_micros
