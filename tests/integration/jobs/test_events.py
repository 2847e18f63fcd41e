"""What customers of the NextAPI contract are told: one event for each transition, numbered without gaps."""

import json
from dataclasses import replace
from typing import Any

import pytest

from services.common.errors import Reason, ServiceError
from services.common.postgres.database import Pool
from services.jobs.convert.nextapi import render_job
from services.jobs.domain.claims import LeaseLostError
from services.jobs.domain.states import Status
from services.jobs.ports import ResultUnavailableError
from services.jobs.store.queue.work import SqlWork
from services.upstream.provider import Pending, RefusalKind, Refused, RefusedError, UnknownError
from tests.integration.jobs.conftest import OWNER, a_job
from tests.integration.jobs.world import DONE, World, open_world

JOB = replace(
    a_job(), id=f"job_{1:026d}", owner=replace(OWNER, contract="nextapi"), model="seedance-2.0-mini"
)
QUEUING, RENDERING = Pending(running=False), Pending(running=True)
REFUSED = Refused(kind=RefusalKind.CONTENT)


@pytest.fixture
async def world(jobs_pool: Pool) -> World:
    return await open_world(jobs_pool, JOB)


async def told(world: World) -> list[tuple[int, str]]:
    rows = await world.sql("SELECT sequence, type FROM outbox ORDER BY event_id")
    return [(row["sequence"], row["type"]) for row in rows]


async def walk_to_the_end(world: World) -> None:
    walker = world.walker()
    while await world.state() is not None:
        await world.sql("UPDATE work SET lease_until = '-infinity', due_at = now()")
        await walker.claim_once()
        await walker.drain()


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([RENDERING, DONE], ["job.queued", "job.running", "job.succeeded"]),
        ([QUEUING, RENDERING, RENDERING, DONE], ["job.queued", "job.running", "job.succeeded"]),
        ([DONE], ["job.queued", "job.running", "job.succeeded"]),
        ([RENDERING, REFUSED], ["job.queued", "job.running", "job.failed"]),
        ([QUEUING, REFUSED], ["job.queued", "job.failed"]),
    ],
    ids=["seen to render", "seen twice", "never seen to render", "fails late", "fails early"],
)
async def test_every_transition_is_told_once_and_in_order(
    world: World, answers: list[Any], expected: list[str]
) -> None:
    world.provider.answers = answers

    await walk_to_the_end(world)

    assert await told(world) == list(enumerate(expected, start=1))


async def test_an_order_that_is_refused_at_once_is_told_by_one_event(world: World) -> None:
    world.provider.submit_error = RefusedError(REFUSED)

    await walk_to_the_end(world)

    assert await told(world) == [(1, "job.failed")]


async def test_a_task_that_is_found_again_is_acknowledged_once(world: World) -> None:
    world.provider.submit_error, world.provider.loses_answers = UnknownError("cut off"), True
    await world.submitted()
    before = await told(world)

    await world.recover(await world.claim())

    assert (before, await told(world)) == ([], [(1, "job.queued")])


async def test_a_job_runs_from_when_it_was_first_seen_to_render(world: World) -> None:
    world.provider.answers = [QUEUING, RENDERING, RENDERING]
    await world.submitted()
    seen = []

    for _ in range(3):
        await world.check(await world.claim())
        seen.append((await world.job()).started_at)

    assert seen[0] is None
    assert seen[1] is not None
    assert seen[2] == seen[1]
    assert (await world.job()).status is Status.PROCESSING


async def test_a_result_that_can_not_be_fetched_yet_tells_nothing(world: World) -> None:
    await world.submitted()
    world.media.error = ResultUnavailableError("later")

    await world.check(await world.claim())

    assert await told(world) == [(1, "job.queued")]


async def test_an_event_shows_the_job_as_a_poll_then_did(world: World) -> None:
    await world.submitted()
    claim = await world.check(await world.claim())
    assert claim is not None
    await world.complete(claim)

    job = await world.job()
    rows = await world.sql("SELECT * FROM outbox ORDER BY event_id")

    assert [row["event_id"] for row in rows] == [f"evt_{JOB.id}_{n}" for n in (1, 2, 3)]
    assert {row["target_url"] for row in rows} == {JOB.callback_url}
    bodies = [json.loads(row["body"]) for row in rows]
    assert [body["data"]["status"] for body in bodies] == ["queued", "running", "succeeded"]
    polled = render_job(job, now=job.created_at)
    ended = bodies[-1]["data"]
    assert (ended["started_at"], ended["completed_at"]) == (polled.started_at, polled.completed_at)
    assert (ended["progress"], ended["credits"], ended["video_url"]) == (100, 50, polled.video_url)


async def test_a_worker_that_lost_the_job_tells_nothing(world: World) -> None:
    world.provider.answers = [RENDERING]
    await world.submitted()
    stale = await world.claim()
    await world.claim()

    with pytest.raises(LeaseLostError):
        await world.check(stale)

    assert await told(world) == [(1, "job.queued")]
    assert (await world.job()).started_at is None


async def test_a_crash_between_capture_and_commit_tells_the_end_once(world: World) -> None:
    await world.submitted()
    claim = await world.check(await world.claim())
    assert claim is not None
    await world.ledger.capture(JOB.id, amount_micros=JOB.reserved_micros)

    await world.complete(await world.claim())

    assert await told(world) == [(1, "job.queued"), (2, "job.running"), (3, "job.succeeded")]


async def test_a_job_whose_hold_is_gone_fails_after_it_ran(world: World) -> None:
    await world.submitted()
    claim = await world.check(await world.claim())
    assert claim is not None
    world.ledger.outage = ServiceError(Reason.HOLD_EXPIRED, "gone")

    failing = await world.complete(claim)
    assert failing is not None
    await world.refund(failing)

    assert await told(world) == [(1, "job.queued"), (2, "job.running"), (3, "job.failed")]


async def test_events_ring_for_whoever_hands_them_over(world: World) -> None:
    notified: list[int] = []
    world.work = SqlWork(world.pool, notify=lambda: notified.append(1))
    world.provider.answers = [QUEUING, RENDERING]

    await world.submitted()
    after_queued = len(notified)
    await world.check(await world.claim())
    after_nothing = len(notified)
    await world.check(await world.claim())

    assert (after_queued, after_nothing, len(notified)) == (1, 1, 2)
