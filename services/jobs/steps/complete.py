"""STORED to completed: take the credits, make the result public, then tell everybody in one commit."""

import logging
from dataclasses import replace

from services.common.clock import Clock
from services.common.errors import ServiceError
from services.jobs.domain import (
    Claim,
    FailureCode,
    Status,
    charge_micros,
)
from services.jobs.ports import Ledger, Media, RenderEvent, ResultUnavailableError, Work
from services.jobs.steps.begin_attempt import HOLD_GONE
from services.jobs.steps.timing import retry_seconds

log = logging.getLogger(__name__)


async def complete(
    claim: Claim, *, work: Work, ledger: Ledger, media: Media, clock: Clock, render_event: RenderEvent
) -> Claim | None:
    """Charges what was delivered, gives the rest back, publishes the result and ends the job.

    Once charged the job can only complete, so nothing is public whose job does not. When its hold is gone nothing can be charged any more, and the job is given up.
    """
    job, attempt = claim.job, claim.attempt
    assert job.output is not None
    assert attempt is not None
    amount = charge_micros(job, job.output.duration_seconds)
    try:
        await ledger.capture(job.id, amount_micros=amount)
    except ServiceError as error:
        if error.reason not in HOLD_GONE:
            raise
        log.error("job=%s reason=%s its result is there and cannot be charged", job.id, error.reason)  # noqa: TRY400
        return await work.give_up(claim, failure=FailureCode.TIMEOUT, detail=f"hold: {error.reason}")
    try:
        await media.publish(job, secret=attempt.token)
    except ResultUnavailableError as error:
        log.warning("job=%s charged, its result cannot be published: %s", job.id, error)
        await work.postpone(claim, seconds=retry_seconds(claim.check_count), checked=True)
        return None
    ended = replace(
        job,
        status=Status.COMPLETED,
        charged_micros=amount,
        refunded_micros=job.reserved_micros - amount,
        ended_at=(now := clock()),
    )
    await work.finish(claim, ended, event=render_event(job, ended, now))
    return None
