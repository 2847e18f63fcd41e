"""FAILING to failed: give the credits back, whatever became of them, then tell everybody in one commit."""

from dataclasses import replace

from services.common.clock import Clock
from services.jobs.domain import (
    Claim,
    Status,
)
from services.jobs.ports import Ledger, RenderEvent, Work
from services.jobs.steps.give_back import give_back


async def refund(
    claim: Claim, *, work: Work, ledger: Ledger, clock: Clock, render_event: RenderEvent
) -> None:
    """Gives all credits back and ends the job."""
    await give_back(claim.job.id, ledger=ledger)
    job, now = claim.job, clock()
    ended = replace(job, status=Status.FAILED, refunded_micros=job.reserved_micros, ended_at=now)
    await work.finish(claim, ended, event=render_event(job, ended, now))
