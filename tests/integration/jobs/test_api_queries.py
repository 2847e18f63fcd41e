"""What customers ask costs index ranges: never a scan of a table, however long the history."""

from datetime import UTC, datetime
from typing import Any

import pytest

from services.common.postgres.database import Connection, Pool, Query
from services.jobs.store.admission.creation import CREATE
from services.jobs.store.admission.waiting import ADMIT, LOCK
from services.jobs.store.jobs import GET, NEWEST
from services.jobs.store.queue.stages import MOVED
from services.jobs.store.usage import BY_INDEX_ALONE, USAGE, usage_ranges
from tests.unit.jobs.samples import JOB, OWNER

JOB_COUNT = 6_000
OWNED: dict[str, Any] = {"account_id": OWNER.account_id, "environment": OWNER.environment}
RANGES = usage_ranges(datetime(2026, 1, 5, 10, 30, tzinfo=UTC), datetime(2026, 8, 30, 10, 30, tzinfo=UTC))
BEFORE = {"before_id": f"vid_{JOB_COUNT // 2:026d}"}
FILL = f"""
    INSERT INTO jobs (id, account_id, environment, contract, status, model, input, price_version,
        micros_per_second, reserved_micros, charged_micros, refunded_micros, created_at)
    SELECT 'vid_' || lpad(n::text, 26, '0'), 'acct_' || (n % 3), CASE n % 2 WHEN 0 THEN 'live' ELSE 'test' END,
        'seedancee2', status, 'mini', '{{}}', '1', 1, 1, (status = 'completed')::int, (status = 'failed')::int,
        timestamptz '2026-01-01Z' + n * interval '1 hour'
    FROM (
        SELECT n, CASE WHEN n % 100 = 4 THEN 'pending' WHEN n % 100 = 10 THEN 'processing'
            WHEN n % 7 = 0 THEN 'failed' ELSE 'completed' END AS status
        FROM generate_series(1, {JOB_COUNT}) AS n
    ) AS numbered;
    INSERT INTO usage_hourly
    SELECT account_id, environment, created_at, model, 1, 0, 1, 0 FROM jobs;
    INSERT INTO usage_daily
    SELECT account_id, environment, CAST(created_at AT TIME ZONE 'UTC' AS date) AS day, model, count(*), 0, 1, 0
    FROM jobs GROUP BY account_id, environment, day, model;
"""
REOPEN = """
    ALTER TABLE jobs_vid_first SET (autovacuum_enabled = off);
    UPDATE jobs SET status = 'pending', charged_micros = 0, refunded_micros = 0, model = status;
    ANALYZE;
    UPDATE jobs SET status = model, charged_micros = (model = 'completed')::int,
        refunded_micros = (model = 'failed')::int;
"""
PARTS = """
    SELECT part.relname AS part, pg_relation_size(part.oid) AS pages, index.relname AS index,
        CAST(CAST(pg_inherits.inhparent AS regclass) AS text) AS index_of_all,
        CAST(CAST(pg_partition_root(part.oid) AS regclass) AS text) AS whole
    FROM pg_class AS part JOIN pg_index ON indrelid = part.oid JOIN pg_class AS index ON index.oid = indexrelid
    LEFT JOIN pg_inherits ON inhrelid = indexrelid
    WHERE part.relispartition AND part.relkind = 'r'
"""
USAGE_INDEXES = {"usage_daily_pkey", "usage_hourly_pkey", "jobs_created", "jobs_unfinished"}


@pytest.fixture
async def filled(jobs_pool: Pool) -> Pool:
    async with jobs_pool.connection() as connection:
        await connection.execute(FILL.encode())
    return jobs_pool


async def plan(pool: Pool, query: Query, **values: Any) -> set[str]:
    """Returns the indexes by which a query reads. It must read every table by one, but for partitions without rows."""
    async with pool.connection() as connection, connection.transaction():
        if query is USAGE:
            await connection.execute(BY_INDEX_ALONE.sql)
        if query in (CREATE, ADMIT):
            await connection.execute(LOCK.sql, LOCK.bind(keys=[1]))
        statement = b"EXPLAIN (FORMAT JSON) " + query.sql
        row = await (await connection.execute(statement, query.bind(**values))).fetchone()
        indexes_of_all, empty = await parts(connection)
    assert row is not None
    indexes: set[str] = set()
    nodes = [row["QUERY PLAN"][0]["Plan"]]
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        assert node["Node Type"] != "Seq Scan" or node["Relation Name"] in empty, query.sql
        if "Index Name" in node:
            indexes.add(indexes_of_all.get(node["Index Name"], node["Index Name"]))
    return indexes


async def parts(connection: Connection) -> tuple[dict[str, str], set[str]]:
    """Returns what indexes of partitions are called in all of them, and the partitions without rows."""
    cursor = await connection.execute(PARTS)
    found = await cursor.fetchall()
    names = {row["index"]: row["index_of_all"] or f"{row['whole']}_pkey" for row in found}
    return names, {row["part"] for row in found if row["pages"] == 0}


async def plans(pool: Pool, query: Query, **values: Any) -> tuple[set[str], set[str]]:
    """Returns the indexes that are used without statistics, as on a fresh table, and with them."""
    fresh = await plan(pool, query, **values)
    async with pool.connection() as connection:
        await connection.execute("ANALYZE")
    return fresh, await plan(pool, query, **values)


async def test_one_job_is_read_by_its_id(filled: Pool) -> None:
    assert await plans(filled, GET, ids=[JOB.id]) == ({"jobs_pkey"}, {"jobs_pkey"})


async def test_jobs_that_somebody_waits_for_are_read_by_their_ids(filled: Pool) -> None:
    known = {"ids": [JOB.id, "vid_1"], "stages": [0, 2]}

    assert await plans(filled, MOVED, **known) == ({"jobs_pkey"}, {"jobs_pkey"})


@pytest.mark.parametrize(
    ("asked", "index"),
    [
        ({}, "jobs_newest"),
        (BEFORE, "jobs_newest"),
        ({"status": "pending"}, "jobs_newest_by_status"),
        ({"status": "completed", **BEFORE}, "jobs_newest_by_status"),
    ],
)
async def test_a_page_is_read_in_its_own_order(filled: Pool, asked: dict[str, Any], index: str) -> None:
    query = NEWEST["status" in asked, "before_id" in asked]

    assert await plans(filled, query, most=21, from_id="", **OWNED, **asked) == ({index}, {index})


async def test_usage_reads_roll_ups_the_edges_and_what_is_unfinished(filled: Pool) -> None:
    assert await plans(filled, USAGE, **OWNED, **RANGES) == (USAGE_INDEXES, USAGE_INDEXES)


async def test_usage_is_read_so_when_the_last_analysis_found_all_jobs_unfinished(filled: Pool) -> None:
    async with filled.connection() as connection:
        await connection.execute(REOPEN.encode())

    assert await plan(filled, USAGE, **OWNED, **RANGES) == USAGE_INDEXES
