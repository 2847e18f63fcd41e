"""A task at a provider that no job waits for is on record, is stopped where it can be, and touches no job."""

import asyncio
from typing import Any

import pytest

from services.common.audit.note import AuditNote
from services.common.postgres.database import Pool
from services.jobs.domain.claims import Claim
from services.jobs.domain.failures import FailureCode
from services.jobs.duties.stop_strays import stop_strays
from services.jobs.store.queue.controls import SqlControls
from services.jobs.store.queue.strays import SqlStrays
from services.jobs.store.repairs import SqlRepairs
from services.jobs.timing import RENDER_DEADLINE_SECONDS
from services.upstream.provider import Done, Pending, RefusalKind, Refused, UnreachableError
from tests.integration.jobs.conftest import a_job
from tests.integration.jobs.world import DONE, World, open_world, said
from tests.patience import PATIENCE_SECONDS

NOTE = AuditNote(actor="ops@example", reason="stuck")
RUNNING = Pending(running=True)


@pytest.fixture
async def world(jobs_pool: Pool) -> World:
    made = await open_world(jobs_pool, a_job())
    made.provider.answers = [RUNNING]
    return made


async def strays(world: World) -> list[dict[str, Any]]:
    return await world.sql("SELECT task_id, reason, outcome FROM strays")


async def a_stray(world: World, outcome: str | None = None, *, reason: str) -> None:
    assert await strays(world) == [{"task_id": "task-1", "reason": reason, "outcome": outcome}]


async def stop(world: World) -> int:
    await world.sql("UPDATE strays SET due_at = now()")
    return await stop_strays(
        strays=SqlStrays(world.pool), providers={"live": {"ark": world.provider}}
    ).run_once()


async def given_up_by_deadline(world: World) -> None:
    await world.sql(f"UPDATE attempts SET opened_at = now() - interval '{RENDER_DEADLINE_SECONDS + 1} s'")
    await world.check(await world.claim())


async def given_up_by_stall(world: World) -> None:
    await world.sql("UPDATE work SET claim_count = 99, stalled_since = now() - interval '7 hours'")
    walker = world.walker()
    await world.sql("UPDATE work SET lease_until = '-infinity', due_at = now()")
    await walker.claim_once()
    await walker.drain()


async def failed_by_operator(world: World) -> None:
    job = await world.job()
    assert await SqlControls(world.pool).fail(job.id, failure=FailureCode.GENERATION_FAILED, note=NOTE)


async def settled_by_operator(world: World) -> None:
    job = await world.job()
    await SqlRepairs(world.pool).give_up(
        job.id, failure=FailureCode.GENERATION_FAILED, action="job.settle", note=NOTE
    )


@pytest.mark.parametrize(
    ("give_up", "reason"),
    [
        (given_up_by_deadline, "given_up"),
        (given_up_by_stall, "given_up"),
        (failed_by_operator, "operator"),
        (settled_by_operator, "operator"),
    ],
)
async def test_the_task_of_a_job_that_is_given_up_while_it_renders_is_stopped(
    world: World, give_up: Any, reason: str
) -> None:
    await world.submitted()
    await give_up(world)
    await a_stray(world, reason=reason)
    assert await world.sql("SELECT price_micros FROM strays") == [{"price_micros": 50_000_000}]
    job = await world.job()

    assert await stop(world) == 1
    assert await stop(world) == 0, "it has ended"

    assert world.provider.cancelled == ["task-1"]
    await a_stray(world, "stopped", reason=reason)
    assert await world.job() == job


async def lost(world: World) -> Claim:
    """Closes an attempt whose provider did not list its task yet, and returns the claim that began it."""
    claim = await world.begin(await world.claim())
    taken = await world.claim()
    await world.work.drop_attempt(taken, outcome="lost", detail="", seconds=3600)
    world.provider.tasks[f"{claim.job.id}-1"] = "task-1"
    return claim


async def test_a_late_callback_of_a_closed_attempt_puts_its_task_on_record(world: World) -> None:
    claim = await lost(world)
    assert claim.attempt is not None
    before = await world.sql("SELECT state, wake_no, due_at FROM work")

    for task_id in ("task-1", "task-1", "task-2"):
        assert not await world.work.wake(claim.attempt.token, said(task_id))

    await a_stray(world, reason="late_callback")
    assert await world.sql("SELECT state, wake_no, due_at FROM work") == before, (
        "the next attempt is not woken"
    )
    await stop(world)
    assert world.provider.cancelled == ["task-1"]


async def test_a_callback_that_comes_while_its_attempt_is_dropped_puts_its_task_on_record(
    world: World,
) -> None:
    claim = await world.begin(await world.claim())
    assert claim.attempt is not None
    taken = await world.claim()
    assert await world.work.wake(claim.attempt.token, said("task-1"))

    await world.work.drop_attempt(taken, outcome="lost", detail="", seconds=0)

    await a_stray(world, reason="dropped")


async def test_a_task_that_a_worker_starts_for_a_job_that_was_given_up_is_stopped(world: World) -> None:
    claim = await world.begin(await world.claim())
    await failed_by_operator(world)
    assert await strays(world) == []

    await world.walker()._walk(claim)

    await a_stray(world, reason="late_answer")
    await stop(world)
    assert world.provider.cancelled == ["task-1"]


async def test_a_task_of_somebody_else_that_a_callback_names_is_left_alone(world: World) -> None:
    claim = await lost(world)
    assert claim.attempt is not None
    await world.work.wake(claim.attempt.token, said("task-of-another"))

    await stop(world)

    assert world.provider.cancelled == []
    assert (await strays(world))[0]["outcome"] == "absent"


async def test_what_ended_as_it_should_is_no_stray(world: World) -> None:
    world.provider.answers = [Refused(kind=RefusalKind.FAILED)]
    await world.submitted()
    [token] = await world.sql("SELECT token FROM attempts")

    await world.check(await world.claim())
    await world.work.wake(token["token"], said("task-1"))

    assert await world.state() == "failing"
    assert await strays(world) == []


@pytest.mark.parametrize(
    ("answer", "outcome"), [(DONE, "rendered"), (Refused(kind=RefusalKind.FAILED), "failed")]
)
async def test_what_has_ended_by_itself_is_not_stopped(
    world: World, answer: Done | Refused, outcome: str
) -> None:
    await world.submitted()
    await failed_by_operator(world)
    world.provider.answers = [answer]

    await stop(world)

    await a_stray(world, outcome, reason="operator")
    assert world.provider.cancelled == [], "a DELETE would delete the result"


@pytest.mark.parametrize("cancel_answer", [False, UnreachableError("no route")])
async def test_what_could_not_be_stopped_is_tried_again_until_it_is_surely_over(
    world: World, cancel_answer: bool | Exception
) -> None:
    await world.submitted()
    await failed_by_operator(world)
    world.provider.cancel_answer = cancel_answer

    assert await stop(world) == 1
    [row] = await world.sql("SELECT tries, due_at > now() + interval '50 s' AS waits FROM strays")
    assert row == {"tries": 1, "waits": True}
    await stop(world)
    await a_stray(world, reason="operator")
    await world.sql(f"UPDATE strays SET noted_at = now() - interval '{RENDER_DEADLINE_SECONDS + 1} s'")
    await stop(world)

    await a_stray(world, "unknown", reason="operator")
    assert len(world.provider.cancelled) == 3


async def test_two_workers_do_not_ask_about_the_same_task(world: World) -> None:
    await world.submitted()
    await failed_by_operator(world)
    strays_of_another = SqlStrays(world.pool)

    async with world.pool.connection() as taking, taking.transaction():
        await taking.execute("UPDATE strays SET tries = tries + 1")
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await strays_of_another.take_due() is None, "who takes at this moment is not waited for"

    first, second = await strays_of_another.take_due(), await strays_of_another.take_due()
    assert first is not None
    assert (first.task_id, second) == ("task-1", None)
