"""FAILING to failed: give the credits back, then tell everybody in one commit."""

from dataclasses import replace

from services.common.clock import Clock
from services.common.errors import Reason, ServiceError
from services.jobs.domain import (
    Claim,
    Status,
)
from services.jobs.ports import Ledger, RenderEvent, Work


async def refund(
    claim: Claim, *, work: Work, ledger: Ledger, clock: Clock, render_event: RenderEvent
) -> None:
    """Releases the whole hold and ends the job. A hold that expired has been given back already."""
    try:
        await ledger.release(claim.job.id)
    except ServiceError as error:
        if error.reason is not Reason.HOLD_EXPIRED:
            raise
    job, now = claim.job, clock()
    ended = replace(job, status=Status.FAILED, refunded_micros=job.reserved_micros, ended_at=now)
    await work.finish(claim, ended, event=render_event(job, ended, now))
