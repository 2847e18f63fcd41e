from collections.abc import AsyncIterator

import pytest

from services.common.clock import utc_now
from services.common.postgres.database import Pool, open_pool
from services.jobs.domain.job import Job
from services.jobs.domain.requests import JobInput, Owner
from services.jobs.domain.states import Status
from services.jobs.store.rows import job_to_row
from tests.conftest import MakeDatabase

OWNER = Owner(account_id="acct_1", environment="live", contract="seedancee2")


def a_job(number: int = 1, *, callback_url: str | None = "https://customer.example/hook") -> Job:
    wanted = JobInput(
        prompt="waves",
        duration_seconds=5,
        resolution="720p",
        aspect_ratio="16:9",
        generate_audio=False,
        watermark=False,
        return_last_frame=False,
        seed=7,
        image_urls=("https://a.example/1.png",),
    )
    return Job(
        id=f"vid_{number:026d}",
        owner=OWNER,
        status=Status.PENDING,
        model="mini",
        input=wanted,
        callback_url=callback_url,
        metadata_json='{"a":1}',
        price_version="1",
        micros_per_second=10_000_000,
        reserved_micros=50_000_000,
        created_at=utc_now(),
    )


@pytest.fixture
async def jobs_pool(make_database: MakeDatabase) -> AsyncIterator[Pool]:
    async with open_pool(make_database("jobs"), name="test", connections_max=8) as opened:
        yield opened


async def store_jobs(pool: Pool, *wanted: Job) -> None:
    async with pool.connection() as connection:
        for each in wanted:
            row = job_to_row(each)
            names = ", ".join(row)
            values = ", ".join(f"%({name})s" for name in row)
            await connection.execute(f"INSERT INTO jobs ({names}) VALUES ({values})".encode(), row)
            await connection.execute("INSERT INTO work (job_id, state) VALUES (%s, 'pending')", (each.id,))
