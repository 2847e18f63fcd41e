"""Deleting what is kept of a job that has ended, for its owner."""

from collections.abc import Awaitable, Callable

from services.common.audit.note import AuditNote
from services.jobs.domain.requests import Buyer
from services.jobs.ports import Jobs
from services.jobs.refusals import job_unfinished
from services.jobs.store.deletions import SqlDeletions

REASON = "asked by its owner"
"""In the audit, whose actor is the key."""


DeleteJob = Callable[[str, Buyer], Awaitable[None]]
"""`delete_job`, with the rest bound."""


async def delete_job(
    job_id: str, buyer: Buyer, *, jobs: Jobs, deletions: SqlDeletions, notify: Callable[[], None]
) -> None:
    """Deletes what the customer said in a job; a worker deletes its files at once. What was paid stays.

    Repeating it changes nothing. `notify` wakes the workers. Refuses with JOB_NOT_FOUND or JOB_UNFINISHED.
    """
    job = await jobs.get(job_id, owner=buyer.owner)
    if job.ended_at is None:
        raise job_unfinished(job_id, job.status)
    await deletions.register(job, note=AuditNote(actor=buyer.key_id, reason=REASON))
    notify()
