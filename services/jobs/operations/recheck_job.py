"""Looking at an unfinished job at once."""

from collections.abc import Callable

from services.common.audit.note import AuditNote
from services.jobs.operations.fail_job import job_ended
from services.jobs.operations.get_job import job_not_found
from services.jobs.store.queue.controls import SqlControls


async def recheck_job(
    job_id: str, *, note: AuditNote, controls: SqlControls, notify: Callable[[], None]
) -> None:
    """Makes a job due, whatever it waits for, and rings for the workers. Refuses with JOB_NOT_FOUND or JOB_ENDED."""
    if await controls.recheck(job_id, note=note):
        notify()
        return
    standing = await controls.standing(job_id)
    if standing is None:
        raise job_not_found(job_id)
    raise job_ended(job_id, standing.status)
