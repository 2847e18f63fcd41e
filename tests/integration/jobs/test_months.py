"""Jobs lie in months: each new job finds its own, and an old month is forgotten as a whole when nothing holds it back."""

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import sql
from ulid import ULID

from services.common.audit.note import AuditNote
from services.common.clock import utc_now
from services.common.errors import Reason, ServiceError
from services.common.ids import new_id
from services.common.postgres.database import Pool
from services.common.telemetry.metrics import REGISTRY
from services.jobs.domain.ledger import UsagePart
from services.jobs.domain.requests import Owner
from services.jobs.duties.keep_months import keep_months
from services.jobs.store.jobs import SqlJobs
from services.jobs.store.months import SqlMonths
from services.jobs.store.refunds import SqlRefunds, WantedRefund
from services.jobs.store.verification import SqlRecords
from tests.integration.jobs.conftest import OWNER, a_job, store_jobs
from tests.integration.jobs.months import divide, partitions, place_of, run, settled_job, store_settled

DAYS = 60
OLD = 150
PREFIXES = ("job", "vid")


def month_of(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y_%m}"


def months_from(first: datetime, count: int) -> list[str]:
    return [
        f"{first.year + number // 12}_{1 + number % 12:02d}"
        for number in range(first.month - 1, first.month - 1 + count)
    ]


async def keep(pool: Pool, *, days: int = DAYS) -> int:
    return await keep_months(SqlMonths(pool), kept_days=days).run_once()


async def add_all(pool: Pool) -> None:
    while await SqlMonths(pool).add("vid"):
        pass


async def drop_all(months: SqlMonths) -> None:
    while await months.drop("vid", kept_days=DAYS):
        pass


def behind_seconds() -> float | None:
    return REGISTRY.get_sample_value("reelgate_retention_behind_seconds", {"table": "jobs"})


@pytest.mark.parametrize(
    "moment", [datetime(2026, 2, 28, 23, 59, 59, 999000, UTC), datetime(2031, 5, 1, tzinfo=UTC)]
)
async def test_the_database_reads_and_writes_moments_as_ids_do(jobs_pool: Pool, moment: datetime) -> None:
    ulid = str(ULID.from_datetime(moment)).lower()[:10]

    async with jobs_pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT ulid_at(%s) AS ulid, moment_of(%s) AS moment", (moment, ulid)
        )
        [row] = await cursor.fetchall()

    assert row == {"ulid": ulid, "moment": moment}


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_a_job_lies_in_the_month_of_its_id_from_its_first_moment_to_its_last(
    jobs_pool: Pool, prefix: str
) -> None:
    first = utc_now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    last = (first + timedelta(days=40)).replace(day=1) - timedelta(milliseconds=1)

    for moment in (first, last):
        job_id = new_id(prefix, moment)
        await store_settled(jobs_pool, job_id, moment)
        assert await place_of(jobs_pool, job_id) == f"jobs_{prefix}_{month_of(moment)}"


@pytest.mark.parametrize(
    "job_id", ["", "0", "job_", "job_zzz", "k", "v", "vid_", "vid_1", "vid_zzz", "zzz", "~"]
)
async def test_no_id_is_without_a_place(jobs_pool: Pool, job_id: str) -> None:
    await store_settled(jobs_pool, job_id, utc_now())

    assert await place_of(jobs_pool, job_id) is not None


async def test_there_are_months_for_the_next_three_and_one_without_end(jobs_pool: Pool) -> None:
    names = months_from(utc_now(), 5)

    assert await keep(jobs_pool) == 0

    expected = {f"jobs_{prefix}_{name}" for prefix in PREFIXES for name in (*names, "first")}
    assert await partitions(jobs_pool) == expected


async def without_months_to_come(pool: Pool) -> None:
    """Leaves it as after months in which nobody made new ones: this one is the last and has no end."""
    this, *later = months_from(utc_now(), 5)
    for prefix, end in (("job", "'k'"), ("vid", "MAXVALUE")):
        for name in later:
            await run(pool, f"DROP TABLE jobs_{prefix}_{name}")
        first = utc_now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        bound = f"{prefix}_{str(ULID.from_datetime(first)).lower()[:10]}"
        await run(pool, f"ALTER TABLE jobs DETACH PARTITION jobs_{prefix}_{this}")
        await run(
            pool,
            f"ALTER TABLE jobs ATTACH PARTITION jobs_{prefix}_{this} FOR VALUES FROM ('{bound}') TO ({end})",
        )


async def test_months_that_are_missing_are_made(jobs_pool: Pool) -> None:
    expected = await partitions(jobs_pool)
    await without_months_to_come(jobs_pool)

    await keep(jobs_pool)

    assert await partitions(jobs_pool) == expected


async def test_jobs_that_came_before_their_month_was_made_stay_where_they_are(jobs_pool: Pool) -> None:
    this, *later = months_from(utc_now(), 5)
    await without_months_to_come(jobs_pool)
    early = {prefix: new_id(prefix, utc_now() + timedelta(days=62)) for prefix in PREFIXES}
    for job_id in early.values():
        await store_settled(jobs_pool, job_id, utc_now())

    await keep(jobs_pool)

    names = await partitions(jobs_pool)
    for prefix, job_id in early.items():
        assert await place_of(jobs_pool, job_id) == f"jobs_{prefix}_{this}"
        assert f"jobs_{prefix}_{later[-1]}" in names
    coming = new_id("vid", utc_now() + timedelta(days=100))
    await store_settled(jobs_pool, coming, utc_now())
    assert await place_of(jobs_pool, coming) == f"jobs_vid_{month_of(utc_now() + timedelta(days=100))}"


async def test_a_month_that_cannot_be_made_leaves_everything_as_it_was(jobs_pool: Pool) -> None:
    await without_months_to_come(jobs_pool)
    await store_settled(jobs_pool, "vid_zzz", utc_now())
    before = await partitions(jobs_pool)

    with pytest.raises(psycopg.errors.IntegrityError):
        await add_all(jobs_pool)

    assert await partitions(jobs_pool) == before
    assert await place_of(jobs_pool, "vid_zzz") is not None


async def test_months_of_the_past_are_forgotten_when_all_their_jobs_are_old_enough(jobs_pool: Pool) -> None:
    await divide(jobs_pool, months=6)
    old = [
        await settled_job(jobs_pool, days_ago=days, prefix=prefix)
        for days in (120, OLD)
        for prefix in PREFIXES
    ]
    older = await settled_job(jobs_pool, days_ago=400)
    young = [await settled_job(jobs_pool, days_ago=days) for days in (0, DAYS)]

    while await keep(jobs_pool):
        pass

    jobs = SqlJobs(jobs_pool)
    assert [await jobs.find(job_id, owner=OWNER) for job_id in (*old, older)] == [None] * 5
    assert all([await jobs.find(job_id, owner=OWNER) for job_id in young])
    page = await jobs.newest(owner=OWNER, status=None, before_id=old[1], limit=10)
    assert page == []
    assert await place_of(jobs_pool, older) is None
    async with jobs_pool.connection() as connection:
        audits = await (await connection.execute("SELECT action, subject_id FROM audit")).fetchall()
    assert {"action": "jobs.forget", "subject_id": "jobs_vid_first"} in audits
    assert {f"jobs_{prefix}_first" for prefix in PREFIXES} <= await partitions(jobs_pool)
    assert behind_seconds() == 0


async def test_a_month_stays_as_long_as_one_of_its_jobs_is_young(jobs_pool: Pool) -> None:
    await divide(jobs_pool, months=6)
    before = await partitions(jobs_pool)
    month = (utc_now() - timedelta(days=OLD)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    end = (month + timedelta(days=40)).replace(day=1)
    days = (utc_now() - end).days

    while await keep(jobs_pool, days=days + 1):
        pass
    assert f"jobs_vid_{month_of(month)}" in await partitions(jobs_pool)
    while await keep(jobs_pool, days=days):
        pass

    assert f"jobs_vid_{month_of(month)}" not in await partitions(jobs_pool)
    assert {f"jobs_vid_{month_of(end)}", *(name for name in before if "first" in name)} <= await partitions(
        jobs_pool
    )


@pytest.mark.parametrize("limit", [1, 4, 5, 100])
async def test_pages_go_through_all_months_and_leave_nothing_out(jobs_pool: Pool, limit: int) -> None:
    await divide(jobs_pool, months=6)
    ages = (0, 1, 20, 44, 46, 100, 101, 400)
    stored = [
        await settled_job(jobs_pool, days_ago=days, prefix=prefix) for prefix in PREFIXES for days in ages
    ]
    stored += ["vid_1", "job_", "vid_zzz"]
    for job_id in stored[-3:]:
        await store_settled(jobs_pool, job_id, utc_now())
    jobs = SqlJobs(jobs_pool)
    found: list[str] = []
    before: str | None = None

    while page := await jobs.newest(owner=OWNER, status=None, before_id=before, limit=limit):
        found += [job.id for job in page]
        before = found[-1]

    assert found == sorted(stored, reverse=True)
    skipped = await jobs.newest(owner=OWNER, status=None, before_id=None, limit=limit, offset=3)
    assert [job.id for job in skipped] == found[3 : 3 + limit]


async def test_nothing_is_forgotten_unless_days_are_set(jobs_pool: Pool) -> None:
    await divide(jobs_pool, months=6)
    await settled_job(jobs_pool, days_ago=400)
    before = await partitions(jobs_pool)

    assert await keep(jobs_pool, days=0) == 0

    assert await partitions(jobs_pool) == before


HOLDS = {
    "unfinished jobs": (
        "UPDATE jobs SET status = 'processing', charged_micros = 0, ended_at = NULL",
        "UPDATE jobs SET status = 'completed', charged_micros = 50, ended_at = created_at",
    ),
    "refunds that are not made": (
        (
            "INSERT INTO refunds (refund_id, job_id, amount_micros, actor, reason, due_at)"
            " SELECT 'r', id, 1, 'a', 'b', now() FROM jobs"
        ),
        "UPDATE refunds SET applied_at = now()",
    ),
    "events that are not handed over": (
        (
            "INSERT INTO outbox (event_id, job_id, account_id, environment, contract, type, sequence, target_url, body,"
            " occurred_at) SELECT 'e', id, account_id, environment, contract, 't', 1, '', '', now() FROM jobs"
        ),
        "DELETE FROM outbox",
    ),
    "tasks at providers": (
        (
            "INSERT INTO strays (attempt_id, job_id, environment, route, task_id, reason, price_micros)"
            " SELECT 'a', id, environment, 'simulator', 't', 'r', 1 FROM jobs"
        ),
        "UPDATE strays SET outcome = 'stopped'",
    ),
    "content": ("UPDATE jobs SET content_deleted_at = NULL", "UPDATE jobs SET content_deleted_at = now()"),
    "media": ("UPDATE jobs SET media_deleted_at = NULL", "UPDATE jobs SET media_deleted_at = now()"),
}


@pytest.mark.parametrize("held_by", HOLDS)
async def test_a_month_is_held_back_by_what_is_not_through(
    jobs_pool: Pool, held_by: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    await divide(jobs_pool, months=6)
    job_id = await settled_job(jobs_pool, days_ago=OLD)
    hold, release = HOLDS[held_by]
    await run(jobs_pool, hold)
    other = await settled_job(jobs_pool, days_ago=OLD - 31)

    while await keep(jobs_pool):
        pass

    assert await place_of(jobs_pool, job_id) is not None
    assert await place_of(jobs_pool, other) is None
    assert f"jobs older than {DAYS} days stay: {held_by}" in caplog.text
    overdue = behind_seconds()
    assert overdue is not None
    assert timedelta() < timedelta(seconds=overdue) < timedelta(days=OLD - DAYS)
    await run(jobs_pool, release)
    while await keep(jobs_pool):
        pass
    assert await place_of(jobs_pool, job_id) is None
    assert behind_seconds() == 0


async def test_refunds_that_were_made_go_with_their_jobs_and_those_of_others_stay(jobs_pool: Pool) -> None:
    await divide(jobs_pool, months=6)
    await settled_job(jobs_pool, days_ago=OLD)
    young = await settled_job(jobs_pool, days_ago=1)
    await run(
        jobs_pool,
        "INSERT INTO refunds (refund_id, job_id, amount_micros, actor, reason, due_at, applied_at)"
        " SELECT id, id, 1, 'a', 'b', now(), now() FROM jobs",
    )

    while await keep(jobs_pool):
        pass

    async with jobs_pool.connection() as connection:
        left = await (await connection.execute("SELECT job_id FROM refunds")).fetchall()
    assert left == [{"job_id": young}]


async def test_a_refund_of_a_forgotten_job_is_refused_as_of_one_that_never_was(jobs_pool: Pool) -> None:
    await divide(jobs_pool, months=6)
    job_id = await settled_job(jobs_pool, days_ago=OLD)
    while await keep(jobs_pool):
        pass
    wanted = WantedRefund(
        refund_id="r", job_id=job_id, amount_micros=1, note=AuditNote(actor="a", reason="b")
    )

    with pytest.raises(ServiceError) as caught:
        await SqlRefunds(jobs_pool).register(wanted)

    assert caught.value.reason is Reason.JOB_NOT_FOUND


async def test_usage_of_forgotten_jobs_stays_and_is_no_finding(jobs_pool: Pool) -> None:
    await divide(jobs_pool, months=6)
    await settled_job(jobs_pool, days_ago=OLD)
    await run(
        jobs_pool,
        "INSERT INTO usage_hourly SELECT account_id, environment, date_trunc('hour', created_at, 'UTC'), model, 1, 0,"
        " charged_micros, 0 FROM jobs; INSERT INTO usage_daily SELECT account_id, environment,"
        " CAST(created_at AT TIME ZONE 'UTC' AS date), model, 1, 0, charged_micros, 0 FROM jobs",
    )
    records = SqlRecords(jobs_pool)
    owner = Owner(account_id="acct_1", environment="live", contract="seedancee2")
    start, end = utc_now() - timedelta(days=OLD + 1), utc_now()
    before = await SqlJobs(jobs_pool).usage(owner=owner, start=start, end=end)
    while await keep(jobs_pool):
        pass

    hours = await records.usage_page(
        UsagePart.HOURS, ("", "", datetime(2000, 1, 1, tzinfo=UTC), ""), rows_max=10
    )

    assert (hours.checked_count, list(hours.findings)) == (1, [])
    assert await SqlJobs(jobs_pool).usage(owner=owner, start=start, end=end) == before
    assert [count.completed for count in before] == [1]


async def test_ids_of_forgotten_months_are_known_as_such(jobs_pool: Pool) -> None:
    await divide(jobs_pool, months=6)
    old = await settled_job(jobs_pool, days_ago=OLD)
    young = await settled_job(jobs_pool, days_ago=1)
    while await keep(jobs_pool):
        pass

    assert await SqlRecords(jobs_pool).forgotten([old, young, "vid_1"]) == {old}


async def test_jobs_in_use_are_waited_for_a_moment_only(jobs_pool: Pool) -> None:
    await divide(jobs_pool, months=6)
    job_id = await settled_job(jobs_pool, days_ago=OLD)
    months = SqlMonths(jobs_pool)
    async with jobs_pool.connection() as connection, connection.transaction():
        await connection.execute("SELECT FROM jobs LIMIT 1")

        with pytest.raises(psycopg.errors.LockNotAvailable):
            await drop_all(months)

        await store_jobs(jobs_pool, replace(a_job(), id=new_id("vid")))
    while await keep(jobs_pool):
        pass
    assert await place_of(jobs_pool, job_id) is None


async def test_the_database_itself_forgets_no_young_jobs(jobs_pool: Pool) -> None:
    with pytest.raises(psycopg.errors.RaiseException, match="30 days at least"):
        await SqlMonths(jobs_pool).drop("vid", kept_days=29)


async def test_what_is_forgotten_stays_on_record(jobs_pool: Pool) -> None:
    for change in (
        "UPDATE forgotten_jobs SET low = ''",
        "DELETE FROM forgotten_jobs",
        "TRUNCATE forgotten_jobs",
    ):
        with pytest.raises(psycopg.errors.RestrictViolation):
            async with jobs_pool.connection() as connection:
                await connection.execute(sql.SQL(change))
