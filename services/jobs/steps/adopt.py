"""SUBMITTING to PROCESSING: the provider has acknowledged the task, however we learned of it."""

from dataclasses import replace

from services.common.clock import Clock
from services.jobs.domain.claims import Claim
from services.jobs.domain.states import Status
from services.jobs.ports import RenderEvent
from services.jobs.store.queue.work import SqlWork
from services.jobs.timing import FIRST_CHECK_SECONDS


async def adopt(
    claim: Claim, task_id: str, *, work: SqlWork, clock: Clock, render_event: RenderEvent
) -> None:
    """Records the provider's task, writes the event and releases the job until its first check.

    A job whose first provider could not render it is in process already, and no event says so again.
    """
    taken = replace(claim.job, status=Status.PROCESSING)
    is_news = claim.job.status is not Status.PROCESSING
    event = render_event(claim.job, taken, clock()) if is_news else None
    await work.adopt_task(claim, task_id=task_id, seconds=FIRST_CHECK_SECONDS, event=event)
