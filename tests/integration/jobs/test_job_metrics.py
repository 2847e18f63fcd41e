"""Jobs that ended are counted, and how long a finished result took to reach its customer."""

from dataclasses import replace
from datetime import timedelta

import pytest

from services.common.clock import utc_now
from services.common.postgres.database import Pool
from services.upstream.provider import RefusalKind, Refused
from tests.integration.jobs.conftest import a_job
from tests.integration.jobs.world import DONE, World, open_world
from tests.metric_values import value

LAG = "reelgate_job_completion_lag_seconds"


@pytest.fixture
async def world(jobs_pool: Pool) -> World:
    return await open_world(jobs_pool, a_job())


def _ended() -> tuple[float, float]:
    return tuple(value("reelgate_jobs_ended_total", outcome=outcome) for outcome in ("completed", "failed"))  # type: ignore[return-value]


async def test_the_lag_of_a_completed_job_begins_when_its_provider_had_the_result(world: World) -> None:
    completed, failed = _ended()
    lag, count = value(f"{LAG}_sum"), value(f"{LAG}_count")
    await world.submitted()
    world.provider.answers = [replace(DONE, ended_at=utc_now() - timedelta(hours=1))]

    stored = await world.check(await world.claim())
    assert stored is not None
    await world.complete(stored)

    assert _ended() == (completed + 1, failed)
    assert value(f"{LAG}_count") == count + 1
    assert 3600 <= value(f"{LAG}_sum") - lag < 3600 + 600


async def test_whoever_takes_a_stored_job_over_counts_from_when_it_was_stored(world: World) -> None:
    lag, count = value(f"{LAG}_sum"), value(f"{LAG}_count")
    await world.submitted()
    await world.check(await world.claim())
    await world.sql("UPDATE attempts SET closed_at = now() - interval '2 hours'")

    await world.complete(await world.claim())

    assert value(f"{LAG}_count") == count + 1
    assert 7200 <= value(f"{LAG}_sum") - lag < 7200 + 600


async def test_a_failed_job_has_no_lag(world: World) -> None:
    completed, failed = _ended()
    count = value(f"{LAG}_count")
    await world.submitted()
    world.provider.answers = [Refused(kind=RefusalKind.CONTENT)]

    given_up = await world.check(await world.claim())
    assert given_up is not None
    await world.refund(given_up)

    assert _ended() == (completed, failed + 1)
    assert value(f"{LAG}_count") == count
