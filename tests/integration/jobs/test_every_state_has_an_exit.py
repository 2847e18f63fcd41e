"""No job stays for ever where its provider cannot be asked: not while it is submitted, and not while it renders."""

import pytest

from services.common.postgres.database import Pool
from services.jobs.domain.claims import Claim
from services.jobs.domain.failures import FailureCode
from services.jobs.steps.check import check
from services.jobs.steps.recover import recover
from services.jobs.steps.submit import submit
from services.jobs.timing import RENDER_DEADLINE_SECONDS
from services.upstream.provider import UnreachableError
from tests.integration.jobs.conftest import a_job
from tests.integration.jobs.world import TELLING, World, open_world

LATE = f"opened_at = now() - interval '{RENDER_DEADLINE_SECONDS + 1} s'"


@pytest.fixture
async def world(jobs_pool: Pool) -> World:
    return await open_world(jobs_pool, a_job())


async def take(step: str, world: World, claim: Claim) -> Claim | None:
    """Takes a step when the attempt's route is no longer in the settings."""
    if step == "recover":
        return await recover(claim, work=world.work, providers={"live": {}}, **TELLING)
    return await check(
        claim,
        work=world.work,
        providers={"live": {}},
        media=world.media,
        may_fetch=world.may_fetch,
        **TELLING,
    )


async def test_an_order_for_a_route_that_is_gone_goes_back_and_may_take_another(world: World) -> None:
    claim = await world.begin(await world.claim())

    await submit(claim, work=world.work, providers={"live": {}}, callback_url=lambda _: None, **TELLING)

    assert await world.state() == "pending"
    assert await world.sql("SELECT outcome FROM attempts") == [{"outcome": "unreachable"}]


@pytest.mark.parametrize(("step", "state"), [("recover", "submitting"), ("check", "processing")])
async def test_a_job_whose_route_is_gone_waits_for_it_until_the_last_deadline(
    world: World, step: str, state: str
) -> None:
    claim = await world.begin(await world.claim())
    if step == "check":
        await world.submit(claim)

    await take(step, world, await world.claim())
    waiting = await world.state()
    await world.sql(f"UPDATE attempts SET {LATE}")
    given_up = await take(step, world, await world.claim())

    assert waiting == state
    assert given_up is not None
    assert given_up.job.failure is FailureCode.TIMEOUT
    assert await world.state() == "failing"


async def test_a_submission_that_nobody_can_look_for_is_given_up_at_the_last_deadline(world: World) -> None:
    await world.begin(await world.claim())
    world.provider.find_error = UnreachableError("away")
    await world.sql(f"UPDATE attempts SET {LATE}")

    await world.recover(await world.claim())

    assert await world.state() == "failing"
