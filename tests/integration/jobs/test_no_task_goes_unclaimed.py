"""A worker that stood still asks no provider any more, and a task that comes too late is on record."""

import asyncio
from dataclasses import replace

import pytest

from services.common.postgres.database import Pool
from services.jobs.domain.claims import LeaseLostError
from services.jobs.timing import SUBMIT_START_SECONDS
from tests.integration.jobs.conftest import a_job
from tests.integration.jobs.world import World, open_world


@pytest.fixture
async def world(jobs_pool: Pool) -> World:
    return await open_world(jobs_pool, a_job())


async def test_a_worker_that_stood_still_before_it_asked_does_not_ask(world: World) -> None:
    claim = await world.begin(await world.claim())
    assert claim.submit_until - asyncio.get_running_loop().time() <= SUBMIT_START_SECONDS

    await world.submit(replace(claim, submit_until=claim.submit_until - SUBMIT_START_SECONDS))

    assert world.provider.orders == []
    assert await world.state() == "pending"
    assert await world.sql("SELECT outcome FROM attempts") == [{"outcome": "late"}]


async def test_opening_an_attempt_makes_its_lease_last_as_long_as_its_provider_may_be_asked(
    world: World,
) -> None:
    claim = await world.claim()
    await world.sql("UPDATE work SET lease_until = now() + interval '1 s'")

    await world.begin(claim)

    [row] = await world.sql(
        f"SELECT lease_until > now() + interval '{SUBMIT_START_SECONDS} s' AS lasts FROM work"
    )
    assert row == {"lasts": True}


async def test_a_task_that_was_started_when_its_job_was_given_up_is_on_record(
    world: World,
) -> None:
    claim = await world.begin(await world.claim())
    await world.sql("UPDATE work SET lease_no = lease_no + 1; UPDATE attempts SET outcome = 'failed'")

    with pytest.raises(LeaseLostError):
        await world.submit(claim)

    assert await world.sql("SELECT claimed_task_id FROM attempts") == [{"claimed_task_id": "task-1"}]
    assert await world.sql("SELECT task_id, reason FROM strays") == [
        {"task_id": "task-1", "reason": "late_answer"}
    ]


async def test_a_task_that_another_worker_still_looks_for_is_left_to_it(world: World) -> None:
    claim = await world.begin(await world.claim())
    taken = await world.claim()

    with pytest.raises(LeaseLostError):
        await world.submit(claim)
    await world.recover(taken)

    assert world.provider.cancelled == []
    assert await world.state() == "processing"
    assert await world.sql("SELECT task_id FROM attempts") == [{"task_id": "task-1"}]
