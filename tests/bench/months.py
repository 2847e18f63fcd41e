"""What two years of jobs in months cost: reads, pages and creations beside those of one undivided table, and a month that goes."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import count
from statistics import median

import psycopg

from services.common.clock import utc_now
from services.common.ids import new_id
from services.common.postgres.database import Pool, open_pool
from services.common.postgres.migrate import migrate
from services.devstack import postgres
from services.jobs.domain.requests import Caps, Owner
from services.jobs.store.jobs import SqlJobs
from services.jobs.store.months import SqlMonths
from tests.bench.report import Row
from tests.integration.jobs.conftest import OWNER, a_job
from tests.integration.jobs.months import divide

MONTHS = 24
JOBS, ACCOUNTS = 100_000, 200
BATCH = 20
"""Jobs that are created at once."""
ROUNDS = 5
CALLS = 100
CAPS = Caps(account_jobs=10**6, key_jobs=10**6)
COST_MAX = 1.6
DROP_MS_MAX = 100
DATABASES = {"undivided": "months_bench_undivided", "months": "months_bench"}
UNDIVIDE = """
    CREATE TABLE undivided (LIKE jobs INCLUDING ALL);
    ALTER TABLE undivided ADD PRIMARY KEY (id);
    DROP TABLE jobs;
    ALTER TABLE undivided RENAME TO jobs
"""
FILL = f"""
    INSERT INTO jobs (id, account_id, environment, contract, status, model, input, price_version, micros_per_second,
        reserved_micros, charged_micros, created_at, ended_at, content_deleted_at)
    SELECT 'vid_' || ulid_at(moment) || lpad(n::text, 16, '0'), 'acct_' || n % {ACCOUNTS}, 'live', 'seedancee2',
        'completed', 'mini', '{{"prompt":"' || repeat('waves ', 50) || '","duration_seconds":5,"resolution":"720p",'
            || '"aspect_ratio":"16:9","generate_audio":false,"watermark":false,"return_last_frame":false,"seed":7}}',
        '1', 1, 1, 1, moment, moment, moment
    FROM generate_series(1, {JOBS}) AS n, LATERAL (SELECT now() - n * interval '{MONTHS * 30} days' / {JOBS}) AS at (moment)
"""


async def measure_months(cluster: postgres.Cluster) -> list[Row]:
    """Measures the store itself, one call at a time, the two tables in turn."""
    async with AsyncExitStack() as opened:
        pools: dict[str, Pool] = {}
        for kind, database in DATABASES.items():
            await asyncio.to_thread(cluster.ensure_database, database)
            url = cluster.url(database)
            await asyncio.to_thread(migrate, url, service="jobs")
            pools[kind] = await opened.enter_async_context(
                open_pool(url, name="bench", connections_max=2, plans_once=kind == "months")
            )
            if kind == "months":
                await divide(pools[kind], months=MONTHS)
            await asyncio.to_thread(_fill, url, UNDIVIDE if kind == "undivided" else "")
        measured = {kind: await _calls(pool) for kind, pool in pools.items()}
        rounds = [{kind: await _round(calls) for kind, calls in measured.items()} for _ in range(ROUNDS + 1)][
            1:
        ]
        drop_ms = await _drop(pools["months"])
    return [
        *(
            Row(
                name=f"{name} of {MONTHS} months / of one table",
                measured=median(each["months"][name] / each["undivided"][name] for each in rounds),
                goal=COST_MAX,
                better="lower",
            )
            for name in rounds[0]["months"]
        ),
        Row(name="a month of jobs dropped, ms", measured=drop_ms, goal=DROP_MS_MAX, better="lower"),
    ]


def _fill(url: str, change: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(change.encode())
        connection.execute(FILL.encode())
        connection.execute("VACUUM ANALYZE")


async def _calls(pool: Pool) -> dict[str, Callable[[], Awaitable[object]]]:
    jobs, numbers = SqlJobs(pool), count()
    async with pool.connection() as connection:
        rows = await (await connection.execute("SELECT id FROM jobs ORDER BY md5(id) LIMIT 1000")).fetchall()
    ids = [row["id"] for row in rows]

    def owner() -> Owner:
        return replace(OWNER, account_id=f"acct_{next(numbers) % ACCOUNTS}")

    async def get() -> object:
        return await jobs.find(ids[next(numbers) % len(ids)], owner=OWNER)

    async def page() -> object:
        return await jobs.newest(owner=owner(), status=None, before_id=None, limit=21)

    async def create() -> object:
        new = [replace(a_job(), id=new_id("vid"), created_at=utc_now(), owner=owner()) for _ in range(BATCH)]
        return await asyncio.gather(*(jobs.create(job, caps=CAPS) for job in new))

    return {"a get": get, "a page": page, f"{BATCH} creations": create}


async def _round(calls: dict[str, Callable[[], Awaitable[object]]]) -> dict[str, float]:
    """Returns the median seconds of each kind of call."""
    took: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(CALLS):
        for name, call in calls.items():
            started = time.perf_counter()
            await call()
            took[name].append(time.perf_counter() - started)
    return {name: median(seconds) for name, seconds in took.items()}


async def _drop(pool: Pool) -> float:
    """Returns the milliseconds that the median month took."""
    months = SqlMonths(pool)
    took: list[float] = []
    while len(took) < ROUNDS:
        started = time.perf_counter()
        [month] = await months.drop("vid", kept_days=30)
        took.append((time.perf_counter() - started) * 1000)
        assert month.forgotten is not None
    return median(took)
