"""STORED to completed: take the credits, then tell everybody in one commit."""

from collections.abc import Callable
from dataclasses import replace

from services.common.clock import Clock
from services.jobs.domain import Claim, Job, Status, charge_micros
from services.jobs.ports import Ledger, Work

RenderEvent = Callable[[Job], tuple[str, bytes]]
"""Returns the type and the exact body of the event that says how a job ended."""


async def complete(
    claim: Claim, *, work: Work, ledger: Ledger, clock: Clock, render_event: RenderEvent
) -> None:
    """Charges what was delivered and ends the job."""
    job = claim.job
    assert job.output is not None
    amount = charge_micros(job, job.output.duration_seconds)
    await ledger.capture(job.id, amount_micros=amount)
    ended = replace(job, status=Status.COMPLETED, charged_micros=amount, ended_at=clock())
    event_type, event_body = render_event(ended)
    await work.finish(claim, ended, event_type=event_type, event_body=event_body)
