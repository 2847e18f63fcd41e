"""A move that waited for a row which somebody else has changed does all that it would have done at once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from services.common.audit.note import AuditNote
from services.common.clock import utc_now
from services.common.postgres.database import Pool
from services.jobs.domain.claims import Claim
from services.jobs.domain.failures import FailureCode
from services.jobs.domain.states import Status
from services.jobs.store.queue.controls import SqlControls
from services.jobs.store.queue.work import SqlWork
from services.jobs.store.refunds import SqlRefunds, WantedRefund
from services.jobs.store.retention import SqlRetention
from tests.integration.jobs.conftest import a_job, store_jobs
from tests.integration.jobs.test_moves_together import event_of
from tests.integration.jobs.test_work_store import LEASE_SECONDS, OUTPUT, ROUTE, rows
from tests.integration.jobs.world import said

NOTE = AuditNote(actor="tests", reason="wait")
WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)
Moved = Callable[[SqlWork, Claim], Awaitable[Any]]


async def until_somebody_waits(connection: psycopg.AsyncConnection[Any]) -> None:
    """Returns once somebody waits for a row."""
    while await (await connection.execute(WAITING)).fetchone() == (0,):
        pass


@asynccontextmanager
async def somebody_changing(pool: Pool, table: str) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Changes all rows of a table and commits when the yielded function is called, which waits until somebody waits."""
    async with (
        await psycopg.AsyncConnection.connect(str(pool.conninfo)) as connection,
        await psycopg.AsyncConnection.connect(str(pool.conninfo), autocommit=True) as watching,
    ):
        column = "due_at" if table == "work" else "callback_url"
        await connection.execute(f"UPDATE {table} SET {column} = {column}".encode())

        async def commit() -> None:
            await until_somebody_waits(watching)
            await connection.commit()

        yield commit


async def after_a_wait(pool: Pool, table: str, *moves: Awaitable[Any]) -> None:
    async with somebody_changing(pool, table) as commit:
        await asyncio.gather(*moves, commit())


async def claimed(work: SqlWork) -> list[Claim]:
    found = await work.claim(limit=10, lease_seconds=LEASE_SECONDS)
    return sorted(found, key=lambda claim: claim.job.id)


async def submitted(pool: Pool) -> tuple[SqlWork, list[Claim]]:
    work = SqlWork(pool)
    await store_jobs(pool, a_job(1), a_job(2))
    return work, [
        await work.open_attempt(claim, candidates=(ROUTE,), token=f"token-{claim.job.id}")
        for claim in await claimed(work)
    ]


async def processing(pool: Pool) -> tuple[SqlWork, list[Claim]]:
    work, claims = await submitted(pool)
    for claim in claims:
        await work.adopt_task(claim, task_id=f"cgt-{claim.job.id}", seconds=0, event=None)
    return work, await claimed(work)


def ended(claim: Claim) -> Any:
    return replace(
        claim.job, status=Status.COMPLETED, charged_micros=claim.job.reserved_micros, ended_at=utc_now()
    )


async def statuses(pool: Pool) -> list[str]:
    return [row["status"] for row in await rows(pool, b"SELECT status FROM jobs ORDER BY id")]


async def strays(pool: Pool) -> list[str]:
    return [row["task_id"] for row in await rows(pool, b"SELECT task_id FROM strays ORDER BY attempt_id")]


@pytest.mark.parametrize("table", ["work", "jobs"])
async def test_the_whole_way_of_a_job(jobs_pool: Pool, table: str) -> None:
    work, claims = await submitted(jobs_pool)
    await after_a_wait(
        jobs_pool,
        table,
        *(work.adopt_task(each, task_id="cgt", seconds=0, event=None) for each in claims),
    )
    adopted = await statuses(jobs_pool)
    claims = await claimed(work)
    await after_a_wait(
        jobs_pool, table, *(work.note_running(each, started_at=utc_now(), event=None) for each in claims)
    )
    started = await rows(jobs_pool, b"SELECT id FROM jobs WHERE started_at IS NOT NULL")
    await after_a_wait(
        jobs_pool,
        table,
        *(work.keep_output(each, OUTPUT, started_at=utc_now(), event=None) for each in claims),
    )
    kept = await rows(jobs_pool, b"SELECT id FROM jobs WHERE video_url IS NOT NULL")
    await after_a_wait(
        jobs_pool, table, *(work.finish(each, ended(each), event=event_of(each)) for each in claims)
    )

    assert adopted == ["processing", "processing"]
    assert len(started) == len(kept) == 2
    assert await statuses(jobs_pool) == ["completed", "completed"]
    assert len(await rows(jobs_pool, b"SELECT * FROM outbox")) == 2
    [usage] = await rows(jobs_pool, b"SELECT completed_jobs FROM usage_daily")
    assert usage["completed_jobs"] == 2


@pytest.mark.parametrize("table", ["work", "jobs"])
async def test_jobs_that_are_given_up_leave_their_tasks_on_record(jobs_pool: Pool, table: str) -> None:
    work, claims = await processing(jobs_pool)

    await after_a_wait(
        jobs_pool,
        table,
        *(work.give_up(each, failure=FailureCode.TIMEOUT, detail="", may_run=True) for each in claims),
    )

    failures = await rows(jobs_pool, b"SELECT failure FROM jobs")
    assert [row["failure"] for row in failures] == ["timeout", "timeout"]
    assert await strays(jobs_pool) == [f"cgt-{each.job.id}" for each in claims]


async def test_a_dropped_attempt_leaves_the_task_that_a_callback_named(jobs_pool: Pool) -> None:
    work, claims = await submitted(jobs_pool)
    for each in claims:
        await work.wake(f"token-{each.job.id}", said(f"cgt-{each.job.id}"))

    await after_a_wait(
        jobs_pool, "work", *(work.drop_attempt(each, outcome="busy", detail="", seconds=0) for each in claims)
    )

    assert await strays(jobs_pool) == [f"cgt-{each.job.id}" for each in claims]


async def test_a_callback_that_finds_its_attempt_closed_when_it_has_waited_leaves_a_stray(
    jobs_pool: Pool,
) -> None:
    work, claims = await submitted(jobs_pool)
    async with (
        await psycopg.AsyncConnection.connect(str(jobs_pool.conninfo)) as connection,
        await psycopg.AsyncConnection.connect(str(jobs_pool.conninfo), autocommit=True) as watching,
    ):
        await connection.execute("UPDATE work SET due_at = due_at")
        calling = asyncio.create_task(work.wake(f"token-{claims[0].job.id}", said("cgt-late")))
        await until_somebody_waits(watching)
        await connection.execute("UPDATE attempts SET outcome = 'busy', closed_at = now()")
        await connection.commit()

    assert not await calling
    assert await strays(jobs_pool) == ["cgt-late"]


async def test_what_operators_fail_leaves_its_task_on_record(jobs_pool: Pool) -> None:
    _, claims = await processing(jobs_pool)
    controls = SqlControls(jobs_pool)

    await after_a_wait(
        jobs_pool, "work", controls.fail(claims[0].job.id, failure=FailureCode.TIMEOUT, note=NOTE)
    )

    assert await strays(jobs_pool) == [f"cgt-{claims[0].job.id}"]


async def test_refunds_and_deletions(jobs_pool: Pool) -> None:
    work, claims = await processing(jobs_pool)
    jobs = []
    for each in claims:
        claim = await work.keep_output(each, OUTPUT, started_at=utc_now(), event=None)
        await work.finish(claim, ended(claim), event=None)
        jobs.append(ended(claim))
    refunds, retention = SqlRefunds(jobs_pool), SqlRetention(jobs_pool)
    await refunds.register(WantedRefund(refund_id="r", job_id=jobs[0].id, amount_micros=7, note=NOTE))

    await after_a_wait(jobs_pool, "jobs", refunds.apply("r", job_id=jobs[0].id))
    await after_a_wait(jobs_pool, "jobs", retention.note_media_deleted(jobs))
    await after_a_wait(jobs_pool, "jobs", retention.delete_content(jobs))

    found = await rows(
        jobs_pool,
        b"SELECT returned_micros, callback_url, media_deleted_at IS NULL AS has_media FROM jobs ORDER BY id",
    )
    assert [tuple(row.values()) for row in found] == [(7, None, False), (0, None, False)]
    [usage] = await rows(jobs_pool, b"SELECT refunded_micros FROM usage_daily")
    assert usage["refunded_micros"] == 7
