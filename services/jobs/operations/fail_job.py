"""Giving an unfinished job up by hand."""

from collections.abc import Callable

from services.common.audit.note import AuditNote
from services.common.errors import Reason, ServiceError
from services.jobs.domain.failures import FailureCode
from services.jobs.domain.states import State, Status
from services.jobs.operations.get_job import job_not_found
from services.jobs.store.queue.controls import SqlControls


async def fail_job(
    job_id: str, *, note: AuditNote, controls: SqlControls, notify: Callable[[], None]
) -> None:
    """Sees to it that a job fails and its credits go back, and rings for the workers. Repeating it changes nothing.

    Refuses with JOB_NOT_FOUND, with JOB_STORED when the job is about to complete, or with JOB_ENDED.
    """
    if await controls.fail(job_id, failure=FailureCode.GENERATION_FAILED, note=note):
        notify()
        return
    standing = await controls.standing(job_id)
    if standing is None:
        raise job_not_found(job_id)
    if standing.state is State.STORED:
        message = (
            f"The result of job {job_id} is stored: it is about to complete. It can be refunded after that."
        )
        raise ServiceError(Reason.JOB_STORED, message, job_id=job_id)
    if standing.state is None and not standing.failed_by_operator:
        raise job_ended(job_id, standing.status)


def job_ended(job_id: str, status: Status) -> ServiceError:
    """Returns the refusal to change a job that is no longer unfinished."""
    return ServiceError(Reason.JOB_ENDED, f"Job {job_id} has ended: it is {status}.", job_id=job_id)
