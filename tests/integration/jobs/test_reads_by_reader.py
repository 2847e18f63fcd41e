"""A single job is read over the reader's connection, and is the same job when that is away."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from services.common.clock import utc_now
from services.common.postgres.database import Pool
from services.common.postgres.reader import NoAnswerError, Reader, open_reader
from services.jobs.domain.failures import FailureCode, UnusableReference
from services.jobs.domain.job import Job, Output
from services.jobs.domain.states import Status
from services.jobs.store.jobs import BY_ID, SqlJobs
from tests.conftest import free_port
from tests.integration.jobs.conftest import OWNER, a_job, store_jobs
from tests.patience import PATIENCE_SECONDS

NO_POOL: Any = None
END = """
    UPDATE jobs SET status = 'completed', started_at = created_at, ended_at = now(), charged_micros = reserved_micros - 1,
        refunded_micros = 1, video_url = 'https://media.example/é.mp4', thumbnail_url = 't', last_frame_url = 'l',
        output_seconds = 4.96, reference_fields = 'image_url,audio_url', unusable = 'missing image_url'
    WHERE id = %s
"""
FAIL = """
    UPDATE jobs SET status = 'failed', ended_at = now(), refunded_micros = reserved_micros, failure = 'timeout'
    WHERE id = %s
"""

READER = "waiting-reader"
WAITS = f"SELECT FROM pg_stat_activity WHERE application_name = '{READER}' AND wait_event_type = 'Lock'"
END_READER = (
    f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = '{READER}'"
)


@pytest.fixture
async def reader(jobs_pool: Pool) -> AsyncIterator[Reader]:
    async with open_reader(str(jobs_pool.conninfo), BY_ID, name=READER) as opened:
        yield opened


@pytest.fixture
async def stored(jobs_pool: Pool) -> list[Job]:
    """Jobs of both contracts: one that waits, one that was rendered, one that failed, and one of another account."""
    jobs = [replace(a_job(number), created_at=utc_now()) for number in range(1, 4)]
    other = replace(a_job(4), id=f"job_{4:026d}", owner=replace(OWNER, contract="nextapi"))
    await store_jobs(jobs_pool, *jobs, other)
    async with jobs_pool.connection() as connection:
        await connection.execute(END, (jobs[1].id,))
        await connection.execute(FAIL, (jobs[2].id,))
    return [*jobs, other]


async def until_it_answers(reader: Reader) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                await reader.find("none")
            except NoAnswerError:
                await asyncio.sleep(0.02)
            else:
                return


async def found(jobs: SqlJobs, stored: list[Job]) -> list[Job | None]:
    """Returns the jobs, each found alone, and all of them once more together."""
    alone = [await jobs.find(job.id, owner=job.owner) for job in stored]
    return alone + await asyncio.gather(*(jobs.find(job.id, owner=job.owner) for job in stored))


async def test_the_reader_finds_the_jobs_that_the_pool_finds(
    jobs_pool: Pool, reader: Reader, stored: list[Job]
) -> None:
    await until_it_answers(reader)
    by_reader, by_pool = SqlJobs(NO_POOL, reader=reader), SqlJobs(jobs_pool)

    jobs = await found(by_reader, stored)

    assert jobs == await found(by_pool, stored)
    _waiting, rendered, failed, *_ = jobs
    assert rendered is not None
    assert failed is not None
    assert rendered.output == Output(
        video_url="https://media.example/é.mp4",
        thumbnail_url="t",
        last_frame_url="l",
        duration_seconds=4.96,
    )
    assert rendered.unusable == UnusableReference(fields=("image_url",), fault="missing")
    assert (failed.status, failed.failure) == (Status.FAILED, FailureCode.TIMEOUT)


async def test_the_reader_shows_nobody_the_jobs_of_others(reader: Reader, stored: list[Job]) -> None:
    await until_it_answers(reader)
    jobs, stranger = SqlJobs(NO_POOL, reader=reader), replace(OWNER, account_id="acct_2")

    assert await jobs.find(stored[0].id, owner=stranger) is None
    assert await jobs.find("vid_none", owner=OWNER) is None


async def test_jobs_are_found_though_the_reader_is_away(jobs_pool: Pool, stored: list[Job]) -> None:
    nowhere = f"postgresql://nobody@127.0.0.1:{free_port()}/jobs"
    async with open_reader(nowhere, BY_ID, name="test") as reader:
        jobs = await found(SqlJobs(jobs_pool, reader=reader), stored)

    assert jobs == await found(SqlJobs(jobs_pool), stored)


async def test_jobs_that_are_asked_for_when_the_connection_breaks_are_found(
    jobs_pool: Pool, reader: Reader, stored: list[Job]
) -> None:
    await until_it_answers(reader)
    jobs = SqlJobs(jobs_pool, reader=reader)
    async with jobs_pool.connection() as connection:
        async with connection.transaction():
            await connection.execute("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")
            asked = asyncio.gather(*(jobs.find(job.id, owner=job.owner) for job in stored))
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not await (await connection.execute(WAITS)).fetchall():  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            await connection.execute(END_READER)
        jobs_found = await asked

    assert [job and job.id for job in jobs_found] == [job.id for job in stored]
