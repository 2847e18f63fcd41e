from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr

from services.common.clock import utc_now
from services.common.postgres.database import Pool, open_pool
from services.jobs.domain.claims import Candidate
from services.jobs.domain.job import Job
from services.jobs.domain.requests import JobInput, Owner
from services.jobs.domain.states import Status
from services.jobs.settings import JobsSettings
from services.jobs.store.rows import job_to_row
from tests.conftest import KEY_SECRET, MakeDatabase

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


def a_candidate(route: str = "ark", **changes: Any) -> Candidate:
    """Returns a route whose credential has no limits."""
    wanted: dict[str, Any] = {
        "provider": "ark", "upstream_model": "m", "credential": route, "keys": ("main",), "jobs_at_once": None,
        "requests_per_minute": None, "quoted_micros": 250_000,
    }  # fmt: skip
    return Candidate(**{"route": route, **wanted, **changes})


def jobs_settings(**changes: Any) -> JobsSettings:
    """Returns settings of a process on loopback, with nobody to call."""
    settings = {
        "database_url": "postgresql://nowhere",
        "admin_address": "127.0.0.1:0",
        "health_address": "127.0.0.1:0",
        "public_address": "127.0.0.1:0",
        "key_checksum_secrets": (SecretStr(KEY_SECRET),),
        "plaintext_internal": True,
        "billing_target": "127.0.0.1:1",
        "webhooks_target": "127.0.0.1:1",
        "media_store_url": "/nowhere",
        "media_base_url": "https://media.example",
        "live_provider": "simulator",
        "simulator_base_url": "http://127.0.0.1:1",
        "simulator_api_key": SecretStr("sim"),
    }
    return JobsSettings(**{**settings, **changes})


@pytest.fixture
async def jobs_pool(make_database: MakeDatabase) -> AsyncIterator[Pool]:
    async with open_pool(make_database("jobs"), name="test", connections_max=8, plans_once=True) as opened:
        yield opened


async def store_jobs(pool: Pool, *wanted: Job) -> None:
    async with pool.connection() as connection:
        for each in wanted:
            row = job_to_row(each)
            names = ", ".join(row)
            values = ", ".join(f"%({name})s" for name in row)
            await connection.execute(f"INSERT INTO jobs ({names}) VALUES ({values})".encode(), row)
            await connection.execute("INSERT INTO work (job_id, state) VALUES (%s, 'pending')", (each.id,))
