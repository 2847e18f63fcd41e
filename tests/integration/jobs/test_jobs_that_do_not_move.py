"""An exception that comes back, in whichever step: the job is set aside, and ends, and nobody else is harmed."""

import asyncio
from typing import Any

import pytest

from services.common.errors import Reason, ServiceError
from services.common.postgres.database import Pool
from services.jobs.domain.claims import Claim
from services.jobs.domain.failures import FailureCode
from services.jobs.domain.job import Job
from services.jobs.domain.states import State
from services.jobs.duties.walk_jobs import Step, Walker
from services.jobs.store.rows import job_from_row
from services.jobs.timing import ASIDE_SECONDS_MAX, CLAIMS_MAX, STALL_SECONDS_MAX
from services.upstream.provider import Pending
from tests.integration.jobs.conftest import a_job, store_jobs
from tests.integration.jobs.world import World, open_world

STUCK, OTHER = a_job(1), a_job(2)
ERROR = TypeError("open() got an unexpected keyword argument")
STEPS = ("begin", "submit", "recover", "check", "complete", "refund")
"""What a walker runs, as the world names it."""


@pytest.fixture
async def world(jobs_pool: Pool) -> World:
    made = await open_world(jobs_pool, STUCK)
    made.name_token = token_of
    await store_jobs(jobs_pool, OTHER)
    await made.ledger.hold(OTHER.id, owner=OTHER.owner, key_id="key_1", amount_micros=OTHER.reserved_micros)
    return made


def token_of(claim: Claim) -> str:
    return f"{claim.job.id}-{claim.lease_no}"


def failing(step: Step) -> Step:
    async def planted(claim: Claim) -> Claim | None:
        if claim.job.id == STUCK.id:
            raise ERROR
        return await step(claim)

    return planted


def walker(world: World, *broken: str) -> Walker:
    steps: dict[str, Any] = {name: getattr(world, name) for name in STEPS}
    steps |= {name: failing(steps[name]) for name in broken}
    return Walker(
        work=world.work,
        submit=steps["submit"],
        steps={
            State.PENDING: steps["begin"],
            State.SUBMITTING: steps["recover"],
            State.PROCESSING: steps["check"],
            State.STORED: steps["complete"],
            State.FAILING: steps["refund"],
        },
    )


async def walked(world: World, *broken: str) -> None:
    """Lets a worker claim whatever there is, due or not, and walk it."""
    await world.sql("UPDATE work SET due_at = now(), lease_until = '-infinity'")
    one = walker(world, *broken)
    await one.claim_once()
    await one.drain()


async def work_row(world: World) -> dict[str, Any]:
    [row] = await world.sql(
        "SELECT state, claim_count, check_count, stalled_since, last_error,"
        " CAST(extract(epoch FROM due_at - now()) AS float8) AS wait"
        f" FROM work WHERE job_id = '{STUCK.id}'"
    )
    return row


async def reached(world: World, step: str) -> None:
    """Brings the job to where a step is next."""
    if step in ("begin", "submit"):
        return
    claims = {claim.job.id: claim for claim in await world.work.claim(limit=9, lease_seconds=0)}
    claim = await world.begin(claims[STUCK.id])
    if step == "recover":
        await world.sql("UPDATE attempts SET opened_at = now() - interval '1 hour'")
        return
    if step == "refund":
        await world.work.give_up(claim, failure=FailureCode.TIMEOUT, detail="")
        return
    await world.submit(claim)
    if step == "complete":
        await world.sql(f"UPDATE work SET due_at = 'infinity' WHERE job_id <> '{STUCK.id}'")
        await world.sql(
            f"UPDATE work SET due_at = now(), lease_until = '-infinity' WHERE job_id = '{STUCK.id}'"
        )
        [claim] = await world.work.claim(limit=9, lease_seconds=0)
        await world.check(claim)


def test_every_state_has_a_step_that_is_planted(world: World) -> None:
    assert walker(world)._steps.keys() == set(State)
    assert {step.__name__ for step in walker(world)._steps.values()} | {"submit"} == set(STEPS)


@pytest.mark.parametrize("step", STEPS)
async def test_a_step_that_fails_again_and_again_is_set_aside_for_longer_each_time(
    world: World, step: str, caplog: pytest.LogCaptureFixture
) -> None:
    await reached(world, step)
    waits = []

    for _ in range(CLAIMS_MAX + 4):
        await walked(world, step, *(("recover",) if step == "submit" else ()))
        waits.append((await work_row(world))["wait"])

    row = await work_row(world)
    assert "TypeError: open() got an unexpected keyword argument" in row["last_error"]
    assert waits[-1] > 1.3 * waits[-2] > 1.3 * 40 > 1.3 * max(waits[: CLAIMS_MAX - 1])
    lines = [record.message for record in caplog.records if "set aside" in record.message]
    assert len(lines) >= CLAIMS_MAX
    assert all(STUCK.id in line and "step planted: TypeError" in line for line in lines)


@pytest.mark.parametrize("step", [step for step in STEPS if step != "refund"])
async def test_a_step_that_never_succeeds_ends_in_a_failed_job_whose_credits_went_back(
    world: World, step: str
) -> None:
    await reached(world, step)
    broken = (step, *(("recover",) if step == "submit" else ()))
    for _ in range(CLAIMS_MAX + 1):
        await walked(world, *broken)

    await world.sql(f"UPDATE work SET stalled_since = stalled_since - interval '{STALL_SECONDS_MAX} s'")
    await walked(world, *broken)

    job = await ended(world, STUCK.id)
    assert (job.status, job.failure, job.charged_micros) == ("failed", "timeout", 0)
    assert world.ledger.state[STUCK.id] == "released"
    assert await world.sql(f"SELECT type FROM outbox WHERE job_id = '{STUCK.id}'") == [
        {"type": "video.generation.failed"}
    ]
    await until_ended(world, OTHER.id)
    assert (await ended(world, OTHER.id)).status == "completed"
    assert world.ledger.state[OTHER.id] == "captured"


async def test_a_refund_that_failed_for_long_is_made_as_soon_as_it_can_be(world: World) -> None:
    await reached(world, "refund")
    for _ in range(CLAIMS_MAX + 1):
        await walked(world, "refund")

    await world.sql(f"UPDATE work SET stalled_since = stalled_since - interval '{STALL_SECONDS_MAX} s'")
    await walked(world, "refund")
    assert await world.sql(f"SELECT job_id FROM work WHERE job_id = '{STUCK.id}'") != []
    await walked(world)

    assert (await ended(world, STUCK.id)).status == "failed"
    assert world.ledger.state[STUCK.id] == "released"


async def test_a_job_whose_workers_die_is_set_aside_before_anything_is_done_to_it(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(CLAIMS_MAX):
        await world.sql("UPDATE work SET lease_until = '-infinity'")
        assert len(await world.work.claim(limit=9, lease_seconds=60)) == 2
        assert (await work_row(world))["wait"] <= 0
    await world.sql("UPDATE work SET lease_until = '-infinity'")

    dying = Walker(work=world.work, steps={State.PENDING: _never}, submit=_never)
    await dying.claim_once()

    row = await work_row(world)
    assert row["claim_count"] == CLAIMS_MAX + 1
    assert 0.9 * ASIDE_SECONDS_MAX < row["wait"] <= ASIDE_SECONDS_MAX
    assert any(
        STUCK.id in record.message and "its workers died" in record.message for record in caplog.records
    )
    await world.sql("UPDATE work SET lease_until = '-infinity'")
    assert await world.work.claim(limit=9, lease_seconds=60) == []
    await dying.drain()


async def _never(claim: Claim) -> Claim | None:
    await asyncio.get_running_loop().create_future()
    return claim


async def test_a_job_that_got_on_after_it_was_set_aside_goes_on_at_once(world: World) -> None:
    await world.sql(f"UPDATE work SET claim_count = {CLAIMS_MAX + 4}, stalled_since = now()")
    claims = await world.work.claim(limit=9, lease_seconds=60)

    for claim in claims:
        await world.begin(claim)

    row = await work_row(world)
    assert (row["claim_count"], row["stalled_since"], row["last_error"]) == (0, None, None)
    assert row["wait"] <= 0


async def test_asking_a_provider_often_is_no_stall(world: World) -> None:
    world.provider.answers = [Pending(running=False)]
    await reached(world, "check")

    for _ in range(3 * CLAIMS_MAX):
        await walked(world)

    row = await work_row(world)
    assert (row["claim_count"], row["stalled_since"]) == (0, None)
    assert row["check_count"] >= 3 * CLAIMS_MAX


@pytest.mark.parametrize("reason", [Reason.UNAVAILABLE, Reason.DEADLINE_EXCEEDED])
async def test_an_outage_of_our_own_fails_no_job_however_long_it_lasts(world: World, reason: Reason) -> None:
    world.ledger.outage = ServiceError(reason, "billing is away")
    for _ in range(3 * CLAIMS_MAX):
        await walked(world)
        await world.sql("UPDATE work SET stalled_since = stalled_since - interval '1 day'")
    row = await work_row(world)
    assert row["state"] == "pending"
    assert row["wait"] < 60
    assert "billing is away" in row["last_error"]

    world.ledger.outage = None
    await until_ended(world, STUCK.id)

    assert (await ended(world, STUCK.id)).status == "completed"


async def until_ended(world: World, job_id: str) -> None:
    for _ in range(10):
        if not await world.sql(f"SELECT job_id FROM work WHERE job_id = '{job_id}'"):
            return
        await walked(world)
    raise AssertionError(f"{job_id} does not end")


async def ended(world: World, job_id: str) -> Job:
    [row] = await world.sql(f"SELECT * FROM jobs WHERE id = '{job_id}'")
    assert row["ended_at"] is not None
    return job_from_row(row)
