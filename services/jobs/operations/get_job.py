"""Reading one job."""

from services.common.errors import Reason, ServiceError
from services.jobs.domain.job import Job
from services.jobs.domain.requests import Owner
from services.jobs.ports import Jobs


async def get_job(job_id: str, *, owner: Owner, jobs: Jobs) -> Job:
    """Returns the owner's job. Refuses with JOB_NOT_FOUND, for other owners' jobs too."""
    job = await jobs.get(job_id, owner=owner)
    if job is None:
        raise job_not_found(job_id)
    return job


def job_not_found(job_id: str) -> ServiceError:
    """Returns the refusal of an id that names none of the caller's jobs."""
    return ServiceError(Reason.JOB_NOT_FOUND, f'There is no task "{job_id}".', job_id=job_id)
