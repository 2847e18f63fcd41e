"""A worker that stops hands over what it cannot finish, and the next one goes on at once."""

import asyncio

import pytest

from services.common.postgres.database import Pool
from services.jobs.domain.claims import Claim
from services.jobs.domain.states import State
from services.jobs.duties import walk_jobs
from services.jobs.duties.walk_jobs import Walker
from services.jobs.store.queue.work import SqlWork
from tests.integration.jobs.conftest import a_job, store_jobs
from tests.integration.jobs.test_work_store import LEASE_SECONDS


async def test_a_job_that_is_under_way_when_a_worker_stops_is_claimed_at_once(
    jobs_pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk_jobs, "DRAIN_SECONDS", 0.01)
    work, job = SqlWork(jobs_pool), a_job()
    await store_jobs(jobs_pool, job)
    walking = asyncio.Event()

    async def never_end(_claim: Claim) -> None:
        walking.set()
        await asyncio.Event().wait()

    walker = Walker(work=work, steps={State.PENDING: never_end}, submit=never_end)
    async with walker.running(wake=asyncio.Event()):
        await walking.wait()

    [claim] = await work.claim(limit=1, lease_seconds=LEASE_SECONDS)
    assert claim.job.id == job.id
    assert claim.claim_count == 1


async def test_a_job_that_another_worker_has_taken_is_not_handed_over(jobs_pool: Pool) -> None:
    work = SqlWork(jobs_pool)
    await store_jobs(jobs_pool, a_job())
    [stale] = await work.claim(limit=1, lease_seconds=0)
    await work.claim(limit=1, lease_seconds=LEASE_SECONDS)

    await work.hand_over([stale])

    assert await work.claim(limit=1, lease_seconds=LEASE_SECONDS) == []
