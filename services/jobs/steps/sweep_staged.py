"""What is staged and belongs to no unfinished job: left by a worker that lost its job, or that died."""

from datetime import timedelta

from services.common.clock import Clock
from services.jobs.domain.job import Job
from services.jobs.domain.states import Status
from services.jobs.results import MediaKeeper, StagedObject
from services.jobs.store.jobs import SqlAnyJobs
from services.jobs.timing import STAGED_SECONDS

SWEPT_MAX = 1_000


async def sweep_staged(*, staged: MediaKeeper, jobs: SqlAnyJobs, clock: Clock) -> int:
    """Deletes what was staged for jobs that failed, and publishes what completed jobs still lack.

    Returns how many objects were dealt with, about SWEPT_MAX at the most.
    """
    moment = clock() - timedelta(seconds=STAGED_SECONDS)
    swept = await staged.delete_fragments(moment)
    async for batch in staged.staged_before(moment):
        found = {job.id: job for job in await jobs.get(sorted({each.job_id for each in batch}))}
        for each in batch:
            swept += await _sweep(each, found.get(each.job_id), staged=staged)
        if swept >= SWEPT_MAX:
            break
    return swept


async def _sweep(each: StagedObject, job: Job | None, *, staged: MediaKeeper) -> int:
    if job is not None and job.ended_at is None:
        return 0
    if job is not None and job.status is Status.COMPLETED and job.output is not None:
        await staged.publish_one(each, job)
    else:
        await staged.discard_one(each)
    return 1
