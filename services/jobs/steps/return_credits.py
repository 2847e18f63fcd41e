"""FAILING to failed: billing returns all credits, then one commit ends the job and writes its event."""

from dataclasses import replace

from services.common.clock import Clock
from services.jobs.credits import release_or_refund
from services.jobs.domain.claims import Claim
from services.jobs.domain.states import Status
from services.jobs.ports import Ledger, RenderEvent
from services.jobs.store.queue.work import SqlWork


async def return_credits(
    claim: Claim, *, work: SqlWork, ledger: Ledger, clock: Clock, render_event: RenderEvent
) -> None:
    """Returns all credits, whether they are held or captured, and ends the job."""
    await release_or_refund(claim.job.id, ledger=ledger)
    job, now = claim.job, clock()
    ended = replace(job, status=Status.FAILED, refunded_micros=job.reserved_micros, ended_at=now)
    await work.finish(claim, ended, event=render_event(job, ended, now))
