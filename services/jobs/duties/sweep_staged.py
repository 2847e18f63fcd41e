"""Deletes or publishes what a worker that died, or lost its job, left staged."""

from datetime import timedelta
from functools import partial

from services.common.clock import Clock
from services.common.loop import Duty
from services.jobs.domain.job import Job
from services.jobs.domain.states import Status
from services.jobs.results import MediaKeeper, StagedObject
from services.jobs.store.jobs import SqlAnyJobs
from services.jobs.timing import STAGED_SECONDS

SWEPT_MAX = 1_000
"""After about this many objects the duty pauses."""
IDLE_SECONDS = 600.0


def sweep_staged(*, staged: MediaKeeper, jobs: SqlAnyJobs, clock: Clock) -> Duty:
    """Returns the duty that publishes what completed jobs still lack, and deletes what was staged for jobs that have no media.

    What belongs to an unfinished job is left alone.
    """
    return Duty("staged", partial(_sweep_old, staged, jobs, clock), idle_seconds=IDLE_SECONDS)


async def _sweep_old(staged: MediaKeeper, jobs: SqlAnyJobs, clock: Clock) -> int:
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
    if job is not None and _is_public(job):
        await staged.publish_one(each, job)
    else:
        await staged.discard_one(each)
    return 1


def _is_public(job: Job) -> bool:
    return job.status is Status.COMPLETED and job.output is not None and not job.is_media_deleted
