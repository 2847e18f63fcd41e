"""What jobs brought in and what attempts cost, by day: equal to a count of the rows, and there when these are gone."""

import asyncio
import random  # noqa: TID251  a history that is the same every time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

import pytest

from services.common.audit.note import AuditNote
from services.common.clock import utc_now
from services.common.postgres.database import Pool
from services.jobs.domain.job import Job
from services.jobs.domain.margins import Margin, MarginKey
from services.jobs.domain.requests import Owner
from services.jobs.store.deletions import SqlDeletions
from services.jobs.store.jobs import SqlAnyJobs
from services.jobs.store.margins import FOLD, REPORTS, SqlMargins, WorthlessCreditError
from services.jobs.store.queue.strays import SqlStrays, StrayEnd
from services.jobs.store.refunds import SqlRefunds, WantedRefund
from services.jobs.store.verification import SqlRecords
from tests.integration.jobs.conftest import a_job, store_jobs
from tests.integration.jobs.test_api_queries import plan

NOTE = AuditNote(actor="tests", reason="margins")
WORTHS = {"seedancee2": 10_000, "nextapi": 1_000_001}
PROVIDERS = ("ark", "fal")
SEED = 15
JOBS = 60
TODAY = utc_now().replace(hour=12, minute=0, second=0, microsecond=0)
DAYS = [TODAY - timedelta(days=days) for days in range(4)]
EVER: dict[str, Any] = {"since": DAYS[-1].date(), "until": TODAY.date()}


@dataclass
class History:
    """A database whose jobs went through everything that costs or brings in money."""

    pool: Pool
    margins: SqlMargins
    chance: random.Random = field(default_factory=lambda: random.Random(SEED))

    async def sql(self, statement: str, *values: object) -> list[dict[str, Any]]:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(statement.encode(), values or None)
            return await cursor.fetchall() if cursor.description else []

    async def add(self, number: int) -> Job:
        contract, model = self.chance.choice(
            (("seedancee2", "pro"), ("seedancee2", "mini"), ("nextapi", "seedance-2.0-pro"))
        )
        owner = Owner(
            account_id=f"acct_{self.chance.randrange(3)}",
            environment=self.chance.choice(("live", "live", "test")),
            contract=contract,
        )
        job = replace(
            a_job(number),
            owner=owner,
            model=model,
            created_at=self.chance.choice(DAYS),
            reserved_micros=70_000,
        )
        await store_jobs(self.pool, job)
        return job

    async def attempt(self, job: Job, number: int, outcome: str) -> str:
        """Begins an attempt and ends it. Of some it is never known whether they cost something."""
        attempt_id = f"{job.id}-{number}"
        await self.sql(
            "INSERT INTO attempts (id, job_id, number, route, upstream_model, token, lease_no, provider)"
            " VALUES (%s, %s, %s, 'r', 'm', %s, 1, %s)",
            attempt_id, job.id, number, attempt_id, self.chance.choice(PROVIDERS),
        )  # fmt: skip
        free = job.owner.environment == "test" or self.chance.random() < 0.2
        await self.sql(
            "UPDATE attempts SET outcome = %s, cost_micros = %s, closed_at = now() WHERE id = %s",
            outcome, 0 if free else self.chance.randrange(1, 90_000), attempt_id,
        )  # fmt: skip
        return attempt_id

    async def end(self, job: Job, *, charged: int) -> None:
        status = "completed" if charged else "failed"
        await self.sql(
            "UPDATE jobs SET status = %s, charged_micros = %s, refunded_micros = reserved_micros - %s, ended_at = now()"
            " WHERE id = %s",
            status, charged, charged, job.id,
        )  # fmt: skip
        await self.sql("DELETE FROM work WHERE job_id = %s", job.id)

    async def live(self, number: int) -> None:
        """Takes one job through failures to an end, and maybe a refund, and corrects what an attempt cost."""
        job = await self.add(number)
        failed = [await self.attempt(job, each, "failed") for each in range(1, self.chance.randrange(1, 4))]
        charged = self.chance.choice((0, 70_000, 70_000, 41_237))
        if charged:
            await self.attempt(job, 9, "succeeded")
        await self.end(job, charged=charged)
        if charged and self.chance.random() < 0.4:
            refunds = SqlRefunds(self.pool)
            wanted = WantedRefund(refund_id=f"r{number}", job_id=job.id, amount_micros=12_345, note=NOTE)
            await refunds.register(wanted)
            await refunds.apply(f"r{number}", job_id=job.id)
        # A task that nobody waited for was stopped after all, or turned out to be rendered.
        if failed and job.owner.environment == "live" and self.chance.random() < 0.5:
            cost = self.chance.choice((None, 31_000))
            await self.sql("UPDATE attempts SET cost_micros = %s WHERE id = %s", cost, failed[0])

    async def recount(self, key: MarginKey, *, since: date, until: date) -> dict[str, Margin]:
        """Counts jobs and attempts one by one."""
        rows = await self.sql("SELECT *, CAST(created_at AT TIME ZONE 'UTC' AS date) AS day FROM jobs")
        jobs = {row["id"]: row for row in rows if since <= row["day"] <= until}
        attempts = [
            row for row in await self.sql("SELECT * FROM attempts ORDER BY id") if row["job_id"] in jobs
        ]
        rendered_by = {row["job_id"]: row["provider"] for row in attempts if row["outcome"] == "succeeded"}
        revenue: dict[str, Fraction] = {}
        counts: dict[str, Counter[str]] = {"completed": Counter(), "failed": Counter(), "cost": Counter()}
        for row in jobs.values():
            if row["environment"] != "live":
                continue
            name = rendered_by.get(row["id"], "") if key is MarginKey.PROVIDER else row[key]
            net = Fraction((row["charged_micros"] - row["returned_micros"]) * WORTHS[row["contract"]], 10**6)
            revenue[name] = revenue.get(name, Fraction(0)) + net
            counts[row["status"]][name] += 1
        for row in attempts:
            name = row["provider"] if key is MarginKey.PROVIDER else jobs[row["job_id"]][key]
            counts["cost"][name] += row["cost_micros"] or 0
        names = revenue.keys() | {name for name, cost in counts["cost"].items() if cost}
        return {
            name: Margin(
                key=name,
                completed_jobs=counts["completed"][name],
                failed_jobs=counts["failed"][name],
                revenue_micros=int(revenue.get(name, Fraction(0)) + Fraction(1, 2)),
                cost_micros=counts["cost"][name],
            )
            for name in names
        }

    async def reported(self, key: MarginKey, **days: Any) -> dict[str, Margin]:
        found = await self.margins.report(key, **{**EVER, **days}, worths=WORTHS, after=None, limit=100)
        assert [margin.key for margin in found] == sorted(margin.key for margin in found)
        return {margin.key: margin for margin in found}


@pytest.fixture
async def history(jobs_pool: Pool) -> History:
    made = History(jobs_pool, SqlMargins(jobs_pool))
    for number in range(JOBS):
        await made.live(number)
        if number == JOBS // 2:
            await made.margins.fold()
    return made


@pytest.mark.parametrize("key", MarginKey)
async def test_a_report_equals_a_recount(history: History, key: MarginKey) -> None:
    whole = await history.recount(key, **EVER)
    one_day: Mapping[str, Any] = {"since": DAYS[1].date(), "until": DAYS[1].date()}

    assert await history.reported(key) == whole
    assert await history.reported(key, **one_day) == await history.recount(key, **one_day)
    assert sum(margin.cost_micros for margin in whole.values()) > 0
    assert len(whole) >= 3


async def test_a_report_stays_when_jobs_and_attempts_are_gone(history: History) -> None:
    before = {key: await history.reported(key) for key in MarginKey}
    ids = [row["id"] for row in await history.sql("SELECT id FROM jobs WHERE status = 'completed'")]
    for job in await SqlAnyJobs(history.pool).get(ids):
        await SqlDeletions(history.pool).register(job, note=NOTE)
    await history.sql("DELETE FROM attempts")
    await history.sql("DELETE FROM jobs")

    assert {key: await history.reported(key) for key in MarginKey} == before


async def test_a_refund_after_attempts_are_gone_is_taken_from_who_rendered_the_job(history: History) -> None:
    [row] = await history.sql(
        "SELECT id, rendered_by FROM jobs WHERE status = 'completed' AND environment = 'live' AND contract = 'nextapi'"
        " AND returned_micros = 0 LIMIT 1"
    )
    before = await history.reported(MarginKey.PROVIDER)
    await history.sql("DELETE FROM attempts")
    refunds = SqlRefunds(history.pool)
    await refunds.register(WantedRefund(refund_id="late", job_id=row["id"], amount_micros=10_000, note=NOTE))
    await refunds.apply("late", job_id=row["id"])

    after = await history.reported(MarginKey.PROVIDER)

    changed = {name for name in before if after[name] != before[name]}
    assert changed == {row["rendered_by"]}
    assert after[row["rendered_by"]].revenue_micros == before[row["rendered_by"]].revenue_micros - 10_000


async def test_a_stray_that_ends_after_its_job_was_deleted_still_corrects_what_it_cost(
    jobs_pool: Pool,
) -> None:
    history = History(jobs_pool, SqlMargins(jobs_pool))
    job = a_job()
    await store_jobs(jobs_pool, job)
    attempt_id = await history.attempt(job, 1, "failed")
    await history.sql("UPDATE attempts SET cost_micros = 31000, detail = 'waves' WHERE id = %s", attempt_id)
    await history.sql(
        "INSERT INTO strays (attempt_id, job_id, environment, route, task_id, reason, price_micros)"
        " VALUES (%s, %s, 'live', 'r', 'cgt-1', 'given_up', 1)",
        attempt_id, job.id,
    )  # fmt: skip
    await history.end(job, charged=0)
    [ended] = await SqlAnyJobs(jobs_pool).get([job.id])
    await SqlDeletions(jobs_pool).register(ended, note=NOTE)
    assert sum(margin.cost_micros for margin in (await history.reported(MarginKey.MODEL)).values()) == 31_000
    assert [row["detail"] for row in await history.sql("SELECT detail FROM attempts")] == [None]

    strays = SqlStrays(jobs_pool)
    stray = await strays.take_due()
    assert stray is not None
    await strays.end(stray, StrayEnd.STOPPED)

    assert sum(margin.cost_micros for margin in (await history.reported(MarginKey.MODEL)).values()) == 0
    assert await history.sql("SELECT * FROM attempts") == []


async def test_workers_that_add_up_at_once_count_everything_once(history: History) -> None:
    counted = await asyncio.gather(*(history.margins.fold() for _ in range(4)))

    assert sum(counted) > 0
    assert await history.reported(MarginKey.MODEL) == await history.recount(MarginKey.MODEL, **EVER)
    assert await history.sql("SELECT * FROM margin_changes") == []


async def test_credits_without_a_value_are_refused_and_not_counted_as_nothing(history: History) -> None:
    with pytest.raises(WorthlessCreditError, match="nextapi"):
        await history.margins.report(
            MarginKey.ACCOUNT, **EVER, worths={"seedancee2": 1}, after=None, limit=100
        )


async def test_lines_come_in_pages(history: History) -> None:
    whole = list(await history.reported(MarginKey.PROVIDER))
    paged, after = [], None
    for _ in whole:
        [margin] = await history.margins.report(
            MarginKey.PROVIDER, **EVER, worths=WORTHS, after=after, limit=1
        )
        paged.append(after := margin.key)

    assert paged == whole


async def test_what_ended_before_it_was_counted_is_not_refunded_from_it(history: History) -> None:
    before = await history.reported(MarginKey.MODEL)
    [row] = await history.sql(
        "UPDATE jobs SET rendered_by = NULL WHERE id = (SELECT id FROM jobs WHERE status = 'completed'"
        " AND environment = 'live' AND returned_micros = 0 LIMIT 1) RETURNING id"
    )
    refunds = SqlRefunds(history.pool)
    await refunds.register(WantedRefund(refund_id="old", job_id=row["id"], amount_micros=1_000, note=NOTE))
    await refunds.apply("old", job_id=row["id"])

    assert await history.reported(MarginKey.MODEL) == before


@pytest.mark.parametrize("key", MarginKey)
async def test_a_days_report_reads_that_day_alone(history: History, key: MarginKey) -> None:
    await history.sql(
        "INSERT INTO margins_daily SELECT CAST('2020-01-01' AS date) + n % 400, 'acct_' || n, 'seedancee2', 'pro', 'ark',"
        " 1, 0, 1, 0, 1 FROM generate_series(1, 20000) AS n"
    )
    await history.sql("ANALYZE margins_daily")
    day = date(2020, 3, 1)
    values = {"contracts": list(WORTHS), "worths": list(WORTHS.values()), "after": None, "most": 100}

    assert await plan(history.pool, REPORTS[key], since=day, until=day, **values) == {"margins_daily_pkey"}


async def test_changes_are_added_up_by_index(jobs_pool: Pool) -> None:
    history = History(jobs_pool, SqlMargins(jobs_pool))
    await history.sql(
        "INSERT INTO margin_changes (job_id, provider) SELECT %s, 'ark' FROM generate_series(1, 5000)",
        a_job().id,
    )
    await history.sql("ANALYZE margin_changes")

    assert "margin_changes_pkey" in await plan(jobs_pool, FOLD, most=100)


async def test_a_recount_by_the_verifier_finds_nothing_before_and_after_days_are_added_up(
    history: History,
) -> None:
    records = SqlRecords(history.pool)
    await history.sql(USAGE_OF_JOBS)

    before = await records.margins_page(FIRST, rows_max=1_000)
    while await history.margins.fold():
        pass
    after = await records.margins_page(FIRST, rows_max=1_000)
    await history.sql("UPDATE margins_daily SET cost_micros = cost_micros + 1 WHERE account_id = 'acct_1'")
    wrong = await records.margins_page(FIRST, rows_max=1_000)
    await history.sql("UPDATE jobs SET content_deleted_at = now() WHERE account_id = 'acct_1'")
    await history.sql(
        "DELETE FROM attempts WHERE job_id IN (SELECT id FROM jobs WHERE account_id = 'acct_1')"
    )
    forgotten = await records.margins_page(FIRST, rows_max=1_000)

    assert (before.findings, after.findings, forgotten.findings) == ([], [], [])
    assert before.checked_count > len(DAYS)
    assert {found.rule for found in wrong.findings} == {"margin_day"}
    assert all(found.row.startswith("margins_daily acct_1 ") for found in wrong.findings)


FIRST = ["", "", date.min, ""]
USAGE_OF_JOBS = """
    INSERT INTO usage_daily (account_id, environment, day, model, completed_jobs, failed_jobs, charged_micros, refunded_micros)
    SELECT account_id, environment, CAST(created_at AT TIME ZONE 'UTC' AS date), model, count(*), 0, 0, 0
    FROM jobs GROUP BY 1, 2, 3, 4
"""
