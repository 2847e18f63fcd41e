"""FAILING to failed: give the credits back, whatever became of them, then tell everybody in one commit."""

from dataclasses import replace

from services.common.clock import Clock
from services.jobs.domain.claims import Claim
from services.jobs.domain.states import Status
from services.jobs.ports import Ledger, RenderEvent
from services.jobs.steps.give_back import give_back
from services.jobs.store.queue.work import SqlWork


async def refund(
    claim: Claim, *, work: SqlWork, ledger: Ledger, clock: Clock, render_event: RenderEvent
) -> None:
    """Gives all credits back and ends the job."""
    await give_back(claim.job.id, ledger=ledger)
    job, now = claim.job, clock()
    ended = replace(job, status=Status.FAILED, refunded_micros=job.reserved_micros, ended_at=now)
    await work.finish(claim, ended, event=render_event(job, ended, now))
