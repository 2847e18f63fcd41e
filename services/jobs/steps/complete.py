"""STORED to completed: take the credits, then tell everybody in one commit."""

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
from services.jobs.ports import Ledger, RenderEvent, Work
from services.jobs.steps.begin_attempt import HOLD_GONE

log = logging.getLogger(__name__)


async def complete(
    claim: Claim, *, work: Work, ledger: Ledger, clock: Clock, render_event: RenderEvent
) -> Claim | None:
    """Charges what was delivered, gives the rest back and ends the job.

    When its hold is gone nothing can be charged any more, and the job is given up.
    """
    job = claim.job
    assert job.output is not None
    amount = charge_micros(job, job.output.duration_seconds)
    try:
        await ledger.capture(job.id, amount_micros=amount)
    except ServiceError as error:
        if error.reason not in HOLD_GONE:
            raise
        log.error("job=%s reason=%s its result is there and cannot be charged", job.id, error.reason)  # noqa: TRY400
        return await work.give_up(claim, failure=FailureCode.TIMEOUT, detail=f"hold: {error.reason}")
    ended = replace(
        job,
        status=Status.COMPLETED,
        charged_micros=amount,
        refunded_micros=job.reserved_micros - amount,
        ended_at=(now := clock()),
    )
    await work.finish(claim, ended, event=render_event(job, ended, now))
    return None
