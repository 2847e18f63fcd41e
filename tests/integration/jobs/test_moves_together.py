"""Moves that come together share a commit, and each has an outcome of its own: made, failed, or its lease lost."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from services.common.clock import utc_now
from services.common.postgres.database import Pool
from services.jobs.domain.claims import Claim, LeaseLostError
from services.jobs.domain.events import NewEvent
from services.jobs.domain.job import Job
from services.jobs.domain.requests import Owner
from services.jobs.domain.states import Status
from services.jobs.store.queue.work import SqlWork
from tests.integration.jobs.conftest import OWNER, a_job, store_jobs
from tests.integration.jobs.test_work_store import LEASE_SECONDS, OUTPUT, ROUTE, rows
from tests.integration.jobs.world import said

COUNT = 12
YESTERDAY = datetime(2026, 5, 1, 23, 30, tzinfo=UTC)
TODAY = datetime(2026, 5, 2, 0, 30, tzinfo=UTC)


def event_of(claim: Claim) -> NewEvent:
    return NewEvent(
        id=f"evt_{claim.job.id}", type="t", sequence=1, body="{é}".encode(), occurred_at=utc_now()
    )


def ended(claim: Claim, **changes: Any) -> Job:
    charged = claim.job.reserved_micros
    return replace(claim.job, status=Status.COMPLETED, charged_micros=charged, ended_at=utc_now(), **changes)


async def claimed(pool: Pool, *jobs: Job) -> list[Claim]:
    await store_jobs(pool, *jobs)
    return await claimed_again(SqlWork(pool))


async def claimed_again(work: SqlWork) -> list[Claim]:
    found = await work.claim(limit=100, lease_seconds=LEASE_SECONDS)
    return sorted(found, key=lambda claim: claim.job.id)


async def submitted(work: SqlWork, claims: Sequence[Claim]) -> list[Claim]:
    return await asyncio.gather(
        *(work.open_attempt(claim, candidates=(ROUTE,), token=f"token-{claim.job.id}") for claim in claims)
    )


async def stored(work: SqlWork, claims: Sequence[Claim]) -> list[Claim]:
    for claim in await submitted(work, claims):
        await work.adopt_task(claim, task_id="cgt-1", seconds=0, event=None)
    return await asyncio.gather(
        *(
            work.keep_output(claim, OUTPUT, started_at=utc_now(), event=None)
            for claim in await claimed_again(work)
        )
    )


async def commits(pool: Pool, table: str) -> int:
    """Returns in how many transactions the rows of a table were written last."""
    [row] = await rows(pool, f"SELECT count(DISTINCT CAST(xmin AS text)) AS commits FROM {table}".encode())
    return int(row["commits"])


async def test_every_move_of_many_jobs_is_one_commit(jobs_pool: Pool) -> None:
    work = SqlWork(jobs_pool)
    claims = await submitted(work, await claimed(jobs_pool, *map(a_job, range(1, COUNT + 1))))
    opened = await commits(jobs_pool, "attempts")
    await asyncio.gather(
        *(work.adopt_task(each, task_id=f"cgt-{each.job.id}", seconds=0, event=None) for each in claims)
    )
    adopted = [await commits(jobs_pool, table) for table in ("work", "attempts", "jobs")]
    claims = await claimed_again(work)
    claims = await asyncio.gather(
        *(work.keep_output(each, OUTPUT, started_at=utc_now(), event=None) for each in claims)
    )
    kept = [await commits(jobs_pool, table) for table in ("work", "attempts", "jobs")]
    await asyncio.gather(*(work.finish(each, ended(each), event=event_of(each)) for each in claims))
    finished = [await commits(jobs_pool, table) for table in ("jobs", "outbox")]

    assert [opened, *adopted, *kept, *finished] == [1] * 9
    tasks = await rows(jobs_pool, b"SELECT job_id, task_id, outcome FROM attempts")
    assert {row["job_id"]: (row["task_id"], row["outcome"]) for row in tasks} == {
        each.job.id: (f"cgt-{each.job.id}", "succeeded") for each in claims
    }
    told = await rows(jobs_pool, b"SELECT event_id, job_id, body FROM outbox ORDER BY event_id")
    assert [tuple(row.values()) for row in told] == [
        (f"evt_{each.job.id}", each.job.id, "{é}".encode()) for each in claims
    ]
    assert await rows(jobs_pool, b"SELECT * FROM work") == []


async def test_callbacks_that_come_together_wake_their_jobs_in_one_commit(jobs_pool: Pool) -> None:
    work = SqlWork(jobs_pool)
    claims = await submitted(work, await claimed(jobs_pool, *map(a_job, range(1, COUNT + 1))))
    calls = [(f"token-{each.job.id}", f"cgt-{number}") for number, each in enumerate(claims)]

    woken = await asyncio.gather(
        *(work.wake(token, said("cgt-0")) for token, _ in calls),
        *(work.wake(token, said(task_id, is_authentic=True)) for token, task_id in reversed(calls)),
        work.wake("guessed", said("cgt-x")),
        work.wake(calls[0][0], said("another")),
    )

    assert woken == [*[True] * 2 * COUNT, False, True]
    assert await commits(jobs_pool, "work") == 1
    named = await rows(jobs_pool, b"SELECT token, claimed_task_id FROM attempts")
    assert {row["token"]: row["claimed_task_id"] for row in named} == dict(calls)
    assert {row["wake_no"] for row in await rows(jobs_pool, b"SELECT wake_no FROM work")} == {1}


async def test_a_lost_lease_among_others_costs_nobody_else_anything(jobs_pool: Pool) -> None:
    work = SqlWork(jobs_pool)
    claims = await stored(work, await claimed(jobs_pool, *map(a_job, range(1, COUNT + 1))))
    await rows(
        jobs_pool, b"UPDATE work SET lease_no = lease_no + 1 WHERE job_id = %s RETURNING 1", claims[3].job.id
    )

    outcomes = await asyncio.gather(
        *(work.finish(each, ended(each), event=event_of(each)) for each in claims), return_exceptions=True
    )

    assert [type(each) for each in outcomes] == [
        LeaseLostError if number == 3 else type(None) for number in range(COUNT)
    ]
    [left] = await rows(jobs_pool, b"SELECT job_id, state FROM work")
    assert left == {"job_id": claims[3].job.id, "state": "stored"}
    [row] = await rows(
        jobs_pool, b"SELECT status, charged_micros, ended_at FROM jobs WHERE id = %s", claims[3].job.id
    )
    assert row == {"status": "processing", "charged_micros": 0, "ended_at": None}
    [usage] = await rows(jobs_pool, b"SELECT completed_jobs FROM usage_daily")
    assert usage["completed_jobs"] == COUNT - 1
    assert await commits(jobs_pool, "outbox") == 1


async def test_two_leases_of_one_job_in_one_batch_are_told_apart(jobs_pool: Pool) -> None:
    work = SqlWork(jobs_pool)
    [claim] = await stored(work, await claimed(jobs_pool, a_job()))
    stale = replace(claim, lease_no=claim.lease_no - 1)

    outcomes = await asyncio.gather(
        *(work.finish(each, ended(each), event=None) for each in (stale, claim)), return_exceptions=True
    )

    assert [type(each) for each in outcomes] == [LeaseLostError, type(None)]


async def test_the_same_end_asked_for_twice_at_once_counts_once(jobs_pool: Pool) -> None:
    work = SqlWork(jobs_pool)
    claims = await stored(work, await claimed(jobs_pool, a_job(1), a_job(2)))

    await asyncio.gather(
        *(work.finish(each, ended(each), event=event_of(each)) for each in (*claims, claims[0]))
    )

    [usage] = await rows(jobs_pool, b"SELECT completed_jobs FROM usage_daily")
    assert usage["completed_jobs"] == 2


async def test_an_end_that_does_not_add_up_fails_alone(jobs_pool: Pool) -> None:
    work = SqlWork(jobs_pool)
    claims = await stored(work, await claimed(jobs_pool, *map(a_job, range(1, COUNT + 1))))

    outcomes = await asyncio.gather(
        *(
            work.finish(each, ended(each, refunded_micros=int(number == 5)), event=event_of(each))
            for number, each in enumerate(claims)
        ),
        return_exceptions=True,
    )

    assert [number for number, each in enumerate(outcomes) if each is not None] == [5]
    assert isinstance(outcomes[5], psycopg.errors.CheckViolation)
    [left] = await rows(jobs_pool, b"SELECT job_id FROM work")
    assert left["job_id"] == claims[5].job.id
    [usage] = await rows(jobs_pool, b"SELECT completed_jobs, charged_micros FROM usage_daily")
    assert usage == {"completed_jobs": COUNT - 1, "charged_micros": (COUNT - 1) * 50_000_000}


async def test_ends_of_one_commit_are_added_up_by_owner_model_day_and_hour(jobs_pool: Pool) -> None:
    work = SqlWork(jobs_pool)
    other = Owner(account_id="acct_2", environment="live", contract="seedancee2")
    wanted = [
        replace(a_job(number), created_at=created_at, owner=owner, model=model)
        for number, (created_at, owner, model) in enumerate(
            (
                (TODAY, other, "mini"),
                (TODAY, OWNER, "mini"),
                (YESTERDAY, OWNER, "mini"),
                (TODAY, OWNER, "max"),
                (YESTERDAY, OWNER, "mini"),
            ),
            start=1,
        )
    ]
    claims = await stored(work, await claimed(jobs_pool, *wanted))
    failed = replace(claims[4].job, status=Status.FAILED, refunded_micros=50_000_000, ended_at=utc_now())

    await asyncio.gather(
        *(work.finish(each, ended(each), event=None) for each in claims[:4]),
        work.finish(claims[4], failed, event=None),
    )

    for table, period in (("usage_daily", "day"), ("usage_hourly", "hour")):
        found = await rows(
            jobs_pool,
            f"SELECT account_id, date_part('day', {period}) AS day, model, completed_jobs, failed_jobs,"
            f" charged_micros, refunded_micros FROM {table} ORDER BY 1, 2, 3".encode(),
        )
        assert [tuple(row.values()) for row in found] == [
            ("acct_1", 1, "mini", 1, 1, 100_000_000, 50_000_000),
            ("acct_1", 2, "max", 1, 0, 50_000_000, 0),
            ("acct_1", 2, "mini", 1, 0, 50_000_000, 0),
            ("acct_2", 2, "mini", 1, 0, 50_000_000, 0),
        ]
        assert await commits(jobs_pool, table) == 1


@pytest.mark.parametrize("order", [1, -1])
async def test_workers_whose_batches_meet_in_the_usage_of_one_account_wait_in_no_circle(
    jobs_pool: Pool, order: int
) -> None:
    works = [SqlWork(jobs_pool) for _ in range(4)]
    models = [f"model_{number % 3}" for number in range(4 * COUNT)]
    wanted = [replace(a_job(number), model=model) for number, model in enumerate(models, start=1)]
    claims = await stored(works[0], await claimed(jobs_pool, *wanted))

    await asyncio.gather(
        *(
            works[number % 4].finish(each, ended(each), event=None)
            for number, each in list(enumerate(claims))[::order]
        )
    )

    found = await rows(jobs_pool, b"SELECT model, completed_jobs FROM usage_daily ORDER BY model")
    assert [row["completed_jobs"] for row in found] == [16, 16, 16]
