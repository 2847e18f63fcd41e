"""Reading a page of jobs."""

from services.jobs.domain.job import Job
from services.jobs.domain.requests import Owner
from services.jobs.domain.states import Status
from services.jobs.ports import Jobs


async def list_jobs(
    *, owner: Owner, status: Status | None, before_id: str | None, limit: int, offset: int = 0, jobs: Jobs
) -> tuple[list[Job], str | None]:
    """Returns up to `limit` of the owner's jobs, newest first, and the `before_id` of the next page if any."""
    found = await jobs.newest(owner=owner, status=status, before_id=before_id, limit=limit + 1, offset=offset)
    page = found[:limit]
    return page, page[-1].id if len(found) > limit else None
