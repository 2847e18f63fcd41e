from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from services.common.clock import utc_now
from services.common.postgres.database import Pool
from services.jobs.domain.claims import Claim, LeaseLostError
from services.jobs.domain.events import NewEvent
from services.jobs.domain.failures import FailureCode
from services.jobs.domain.job import Output
from services.jobs.domain.states import State, Status
from services.jobs.store.queue.work import SqlWork
from services.jobs.store.rows import job_from_row
from tests.integration.jobs.conftest import a_candidate, a_job, store_jobs
from tests.integration.jobs.world import said

ROUTE = a_candidate(upstream_model="dreamina")
OUTPUT = Output(video_url="v", thumbnail_url="t", last_frame_url=None, duration_seconds=5.0)
EVENT = NewEvent(id="evt_1", type="t", sequence=1, body=b"{}", occurred_at=utc_now())
LEASE_SECONDS = 60.0


async def rows(pool: Pool, statement: bytes, *values: Any) -> Sequence[dict[str, Any]]:
    async with pool.connection() as connection:
        return await (await connection.execute(statement, values)).fetchall()


async def rolled_up(pool: Pool) -> list[dict[str, Any]]:
    """Returns the day's row and the hour's row."""
    [day] = await rows(pool, b"SELECT * FROM usage_daily")
    [hour] = await rows(pool, b"SELECT * FROM usage_hourly")
    assert hour["hour"].date() == day["day"]
    return [day, hour]


async def claimed(work: SqlWork) -> Claim:
    [claim] = await work.claim(limit=10, lease_seconds=LEASE_SECONDS)
    return claim


async def at_processing(work: SqlWork) -> Claim:
    claim = await work.open_attempt(await claimed(work), candidates=(ROUTE,), token="secret")
    await work.adopt_task(claim, task_id="cgt-1", seconds=0, event=None)
    return await claimed(work)


async def test_a_claimed_job_is_not_claimed_again_before_its_lease_ends(jobs_pool: Pool) -> None:
    work = SqlWork(jobs_pool)
    await store_jobs(jobs_pool, a_job())

    first = await work.claim(limit=10, lease_seconds=LEASE_SECONDS)
    second = await work.claim(limit=10, lease_seconds=LEASE_SECONDS)

    assert [claim.job for claim in first] == [first[0].job]
    assert first[0].job.input == a_job().input
    assert second == []


async def test_an_expired_lease_is_taken_over_and_its_holder_can_move_nothing(jobs_pool: Pool) -> None:
    work = SqlWork(jobs_pool)
    await store_jobs(jobs_pool, a_job())
    [stale] = await work.claim(limit=1, lease_seconds=0)

    fresh = await claimed(work)

    assert fresh.lease_no == stale.lease_no + 1
    with pytest.raises(LeaseLostError):
        await work.open_attempt(stale, candidates=(ROUTE,), token="late")
    with pytest.raises(LeaseLostError):
        await work.postpone(stale, seconds=0)
    assert await rows(jobs_pool, b"SELECT * FROM attempts") == []


async def test_renewing_keeps_a_lease_and_leaves_lost_ones_alone(jobs_pool: Pool) -> None:
    work = SqlWork(jobs_pool)
    await store_jobs(jobs_pool, a_job(1), a_job(2))
    first, second = await work.claim(limit=2, lease_seconds=0)
    [taken] = await work.claim(limit=1, lease_seconds=0)
    kept = second if taken.job.id == first.job.id else first

    await work.renew([first, second], lease_seconds=LEASE_SECONDS)

    assert [claim.job.id for claim in await work.claim(limit=2, lease_seconds=0)] == [taken.job.id]
    await work.postpone(kept, seconds=0)


async def test_an_attempt_is_on_record_with_its_lease_and_numbered_from_one(jobs_pool: Pool) -> None:
    work = SqlWork(jobs_pool)
    await store_jobs(jobs_pool, a_job())

    first = await work.open_attempt(await claimed(work), candidates=(ROUTE,), token="one")
    await work.drop_attempt(first, outcome="busy", detail="later", seconds=0)
    second = await work.open_attempt(await claimed(work), candidates=(ROUTE,), token="two")

    assert first.attempt is not None
    assert (first.attempt.id, first.attempt.number) == (f"{a_job().id}-1", 1)
    assert second.attempt is not None
    assert (second.attempt.number, second.attempt.lease_no) == (2, second.lease_no)
    outcomes = await rows(jobs_pool, b"SELECT outcome FROM attempts ORDER BY number")
    assert [row["outcome"] for row in outcomes] == ["busy", None]


async def test_a_claim_carries_the_latest_attempt(jobs_pool: Pool) -> None:
    work = SqlWork(jobs_pool)
    await store_jobs(jobs_pool, a_job())

    claim = await at_processing(work)

    assert claim.state is State.PROCESSING
    assert claim.attempt is not None
    assert claim.attempt.task_id == "cgt-1"
    assert claim.attempt_age_seconds >= 0


async def test_a_move_that_the_state_machine_does_not_know_is_refused(jobs_pool: Pool) -> None:
    work = SqlWork(jobs_pool)
    await store_jobs(jobs_pool, a_job())
    claim = await claimed(work)

    with pytest.raises(LeaseLostError):
        await work.keep_output(claim, OUTPUT, started_at=utc_now(), event=None)

    assert (await rows(jobs_pool, b"SELECT state FROM work"))[0]["state"] == "pending"


async def test_a_callback_during_a_lease_makes_the_job_due_again_at_once(jobs_pool: Pool) -> None:
    work = SqlWork(jobs_pool)
    await store_jobs(jobs_pool, a_job())
    claim = await at_processing(work)

    woken = await work.wake("secret", said("cgt-0"))
    await work.postpone(claim, seconds=3600, checked=True)

    assert woken
    again = await claimed(work)
    assert again.check_count == 1


async def test_a_postponed_job_is_not_due_until_a_callback_wakes_it(jobs_pool: Pool) -> None:
    work = SqlWork(jobs_pool)
    await store_jobs(jobs_pool, a_job())
    await work.postpone(await at_processing(work), seconds=3600)

    before = await work.claim(limit=1, lease_seconds=0)
    await work.wake("secret", said("cgt-0"))
    after = await work.claim(limit=1, lease_seconds=0)

    assert before == []
    assert len(after) == 1


async def test_a_callback_names_a_task_once_and_unknown_tokens_change_nothing(jobs_pool: Pool) -> None:
    work = SqlWork(jobs_pool)
    await store_jobs(jobs_pool, a_job())
    claim = await work.open_attempt(await claimed(work), candidates=(ROUTE,), token="secret")

    assert await work.wake("secret", said("cgt-1"))
    assert await work.wake("secret", said("cgt-2"))
    assert not await work.wake("guessed", said("cgt-3"))

    await work.postpone(claim, seconds=0)
    attempt = (await claimed(work)).attempt
    assert attempt is not None
    assert attempt.claimed_task_id == "cgt-1"


async def test_completing_writes_job_usage_and_event_and_removes_the_work_in_one_commit(
    jobs_pool: Pool,
) -> None:
    work = SqlWork(jobs_pool)
    await store_jobs(jobs_pool, a_job())
    claim = await work.keep_output(await at_processing(work), OUTPUT, started_at=utc_now(), event=None)
    ended = replace(
        claim.job,
        status=Status.COMPLETED,
        charged_micros=30_000_000,
        refunded_micros=20_000_000,
        ended_at=utc_now(),
    )

    await work.finish(claim, ended, event=EVENT)

    [row] = await rows(jobs_pool, b"SELECT * FROM jobs")
    assert job_from_row(row) == ended
    for usage in await rolled_up(jobs_pool):
        assert (usage["completed_jobs"], usage["failed_jobs"]) == (1, 0)
        assert (usage["charged_micros"], usage["refunded_micros"]) == (50_000_000, 20_000_000)
    [event] = await rows(jobs_pool, b"SELECT * FROM outbox")
    shown = [event[name] for name in ("event_id", "type", "sequence", "body", "occurred_at", "target_url")]
    assert shown == [*vars(EVENT).values(), ended.callback_url]
    assert await rows(jobs_pool, b"SELECT * FROM work") == []
    with pytest.raises(LeaseLostError):
        await work.finish(claim, ended, event=EVENT)
    assert [usage["completed_jobs"] for usage in await rolled_up(jobs_pool)] == [1, 1]


async def test_failing_counts_what_was_held_as_charged_and_refunded(jobs_pool: Pool) -> None:
    work = SqlWork(jobs_pool)
    await store_jobs(jobs_pool, a_job(callback_url=None))
    claim = await work.give_up(await claimed(work), failure=FailureCode.TIMEOUT, detail="too late")
    ended = replace(claim.job, status=Status.FAILED, refunded_micros=50_000_000, ended_at=utc_now())

    await work.finish(claim, ended, event=EVENT)

    for usage in await rolled_up(jobs_pool):
        assert (usage["completed_jobs"], usage["failed_jobs"]) == (0, 1)
        assert (usage["charged_micros"], usage["refunded_micros"]) == (50_000_000, 50_000_000)
    [event] = await rows(jobs_pool, b"SELECT target_url FROM outbox")
    assert event["target_url"] == ""


@pytest.mark.parametrize(
    "change",
    [
        "status = 'completed', charged_micros = 30000000",
        "status = 'completed', charged_micros = 30000000, refunded_micros = 20000001",
        "status = 'failed'",
        "status = 'failed', charged_micros = 1, refunded_micros = 49999999",
        "charged_micros = 1",
        "status = 'completed', charged_micros = 30000000, refunded_micros = 20000000, returned_micros = 30000001",
    ],
)
async def test_money_that_does_not_add_up_cannot_be_written(jobs_pool: Pool, change: str) -> None:
    await store_jobs(jobs_pool, a_job())

    with pytest.raises(psycopg.errors.CheckViolation):
        await rows(jobs_pool, f"UPDATE jobs SET {change} RETURNING id".encode())
