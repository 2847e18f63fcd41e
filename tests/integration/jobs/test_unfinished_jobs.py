"""How many jobs of an account may be unfinished, exactly, whoever creates them, and what it costs to ask for more."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest

from services.common.errors import Reason, ServiceError
from services.common.postgres.database import Pool
from services.jobs.domain.job import Job
from services.jobs.domain.requests import Caps
from services.jobs.store.jobs import FULL_SECONDS, SqlJobs
from tests.integration.jobs.api import Refusal, running_api
from tests.integration.jobs.test_places import ONE, World, a_job

CAP = ONE.unfinished_jobs
BODY = {"model": "mini", "input": {"prompt": "waves"}}


@pytest.fixture
async def world(jobs_pool: Pool) -> World:
    return World(jobs_pool)


async def _create(api: SqlJobs, jobs: Sequence[Job], caps: Caps = ONE) -> list[ServiceError]:
    """Creates jobs at once and returns what was refused."""
    told = await asyncio.gather(*(api.create(job, caps=caps) for job in jobs), return_exceptions=True)
    refused = [each for each in told if each is not None]
    assert all(isinstance(each, ServiceError) for each in refused), refused
    return [each for each in refused if isinstance(each, ServiceError)]


async def _unfinished(world: World) -> Counter[tuple[str, str]]:
    rows = await world.sql("SELECT account_id, environment FROM work")
    return Counter((row["account_id"], row["environment"]) for row in rows)


async def test_two_processes_store_as_many_as_may_be_and_no_more(world: World) -> None:
    jobs = [a_job(number, key=f"key_{number % 3}") for number in range(4 * CAP)]

    refused = await asyncio.gather(_create(world.apis[0], jobs[::2]), _create(world.apis[1], jobs[1::2]))

    assert await _unfinished(world) == {("acct_1", "live"): CAP}
    assert len(await world.sql("SELECT id FROM jobs")) == CAP
    assert [error.reason for each in refused for error in each] == [Reason.JOB_LIMIT_REACHED] * 3 * CAP
    assert {error.status.http for each in refused for error in each} == {429}
    assert all(int(error.metadata["retry_after_seconds"]) > 0 for each in refused for error in each)


async def test_others_and_the_other_environment_are_let_in_beside_the_refused(world: World) -> None:
    greedy = [a_job(number) for number in range(2 * CAP)]
    others = [a_job(100, environment="test"), a_job(101, account="acct_2")]

    refused = await _create(world.apis[0], [*greedy, *others])

    assert len(refused) == CAP
    assert await _unfinished(world) == {("acct_1", "live"): CAP, ("acct_1", "test"): 1, ("acct_2", "live"): 1}


async def test_a_job_that_ends_makes_room_for_one(world: World) -> None:
    await world.create(*map(a_job, range(CAP)), caps=ONE)
    [claim] = await world.claim()
    await world.end(claim)

    refused = await _create(world.apis[0], [a_job(100), a_job(101)])

    assert len(refused) == 1
    assert await _unfinished(world) == {("acct_1", "live"): CAP}


async def test_jobs_that_have_places_count_too_when_the_cap_is_lowered(world: World) -> None:
    await world.create(*map(a_job, range(2 * CAP)), caps=Caps(account_jobs=2 * CAP, key_jobs=2 * CAP))

    assert len(await _create(world.apis[0], [a_job(100)])) == 1


async def test_a_process_that_refused_does_so_again_without_asking_for_a_moment(world: World) -> None:
    api, job = world.apis[0], a_job(100)
    api.refuse_if_full(job.owner)
    await world.create(*map(a_job, range(CAP)), caps=ONE)
    await _create(api, [job])

    with pytest.raises(ServiceError) as refused:
        api.refuse_if_full(job.owner)
    api.refuse_if_full(a_job(100, environment="test").owner)
    world.apis[1].refuse_if_full(job.owner)
    await asyncio.sleep(FULL_SECONDS)
    api.refuse_if_full(job.owner)

    assert refused.value.reason is Reason.JOB_LIMIT_REACHED


async def test_what_is_refused_is_told_with_429_and_holds_no_credits(jobs_pool: Pool) -> None:
    async with running_api(jobs_pool) as api:
        key = api.add_key(caps=ONE)
        for _ in range(CAP):
            await api.call("Video.CreateVideo", BODY, key=key)
        with pytest.raises(Refusal) as refused:
            await api.call("Video.CreateVideo", BODY, key=key)
        with pytest.raises(Refusal) as again:
            await api.call("Video.CreateVideo", BODY, key=key)

    assert Counter(api.ledger.state.values()) == {"provisional": CAP, "released": 1}
    assert refused.value.http_status == again.value.http_status == 429
    assert refused.value.envelope["error"]["code"] == "rate_limit_exceeded"
