"""How fast usage is told to an account with a long history, as a ratio to one with a short one."""

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from statistics import median
from urllib.parse import urlencode

import aiohttp
import psycopg

from services.common.clock import rfc3339
from tests.bench.load import Measured, load, request
from tests.bench.processes import open_edge, start_api
from tests.bench.report import Row
from tests.e2e.local_stack import Account, Stack

SHORT, LONG = 1_000, 1_000_000
"""Jobs of the two accounts, spread evenly over DAYS."""
DAYS = 60
ROUNDS = 7
SECONDS = 1.0
ANSWER_SECONDS_MAX = 10.0
DATABASE = "usage_bench"

# The newest hundred are unfinished, in either history; every fifth of the others was shorter, every tenth failed.
FILL = """
    INSERT INTO jobs (id, account_id, environment, contract, status, model, input, price_version,
        micros_per_second, reserved_micros, charged_micros, refunded_micros, created_at)
    SELECT 'vid_' || right(%(account)s, 6) || lpad((%(count)s - n)::text, 20, '0'), %(account)s, 'live',
        'seedancee2', status, (ARRAY['pro', 'fast', 'mini'])[1 + n %% 3], '{}', '1', 10000000, 50000000,
        charged, CASE WHEN n <= 100 THEN 0 ELSE 50000000 - charged END,
        date_trunc('milliseconds', now() - n * (interval '1 day' * %(days)s / %(count)s))
    FROM generate_series(1, %(count)s) AS n
    CROSS JOIN LATERAL (SELECT
        CASE WHEN n <= 100 THEN (ARRAY['pending', 'processing'])[1 + n %% 2] WHEN n %% 10 = 0 THEN 'failed'
            ELSE 'completed' END,
        CASE WHEN n <= 100 OR n %% 10 = 0 THEN 0 WHEN n %% 5 = 0 THEN 30000000 ELSE 50000000 END
    ) AS ended (status, charged)
"""
ROLL_UP = """
    INSERT INTO usage_hourly
        SELECT account_id, environment, date_trunc('hour', created_at, 'UTC') AS hour, model,
            count(*) FILTER (WHERE status = 'completed'), count(*) FILTER (WHERE status = 'failed'),
            sum(charged_micros + refunded_micros), sum(refunded_micros)
        FROM jobs WHERE status IN ('completed', 'failed') GROUP BY account_id, environment, hour, model;
    INSERT INTO usage_daily
        SELECT account_id, environment, CAST(hour AT TIME ZONE 'UTC' AS date) AS day, model,
            sum(completed_jobs), sum(failed_jobs), sum(charged_micros), sum(refunded_micros)
        FROM usage_hourly GROUP BY account_id, environment, day, model;
"""


async def measure_usage(stack: Stack) -> list[Row]:
    """Measures a jobs api process of its own behind an edge, one request at a time, the two accounts in turn."""
    accounts = {count: stack.create_account(f"usage {count}") for count in (SHORT, LONG)}
    async with AsyncExitStack() as opened:
        status = stack.status()
        api, database_url = await start_api(opened, stack, database=DATABASE)
        await asyncio.to_thread(_fill, database_url, accounts)
        edge = await opened.enter_async_context(open_edge(status, api))
        for count, account in accounts.items():
            assert await _total(edge, account) == count, "the roll-ups and the jobs do not add up"
        requests = {count: usage_requests(account) for count, account in accounts.items()}
        await _round(edge, requests)
        rounds = [await _round(edge, requests) for _ in range(ROUNDS)]
    return _rows(rounds)


def _rows(rounds: Sequence[dict[int, Measured]]) -> list[Row]:
    assert all(measured.only_ok for each in rounds for measured in each.values())
    ratio = median(each[LONG].percentile(0.95) / each[SHORT].percentile(0.95) for each in rounds)
    return [
        *(
            Row(
                name=f"usage of {count:,} jobs, p95, ms",
                measured=median(each[count].percentile(0.95) for each in rounds) * 1000,
                goal=None,
                better="lower",
            )
            for count in (SHORT, LONG)
        ),
        Row(name=f"usage p95, {LONG:,} jobs / {SHORT:,} jobs", measured=ratio, goal=1.2, better="lower"),
    ]


async def _round(edge: str, requests: dict[int, Callable[[], bytes]]) -> dict[int, Measured]:
    return {
        count: await load(edge, next_request, connections=1, seconds=SECONDS)
        for count, next_request in requests.items()
    }


def usage_requests(account: Account) -> Callable[[], bytes]:
    """Returns one range after another: the default, all there is, and shorter ones that begin and end within hours."""
    now = datetime.fromtimestamp(time.time(), UTC)
    ranges = [
        (now - timedelta(days=DAYS - 7 * number, minutes=59), now - timedelta(days=5 * number, minutes=1))
        for number in range(5)
    ]
    queries = ["", *(_query(start, end) for start, end in ranges)]
    sent = [request("GET", "bench", f"/v1/usage{query}", key=account.keys["live"]) for query in queries]
    return itertools.cycle(sent).__next__


def _query(start: datetime, end: datetime) -> str:
    return "?" + urlencode({"start": rfc3339(start), "end": rfc3339(end), "limit": 365})


async def _total(edge: str, account: Account) -> int:
    headers = {"Authorization": f"Bearer {account.keys['live']}"}
    query = _query(datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS_MAX)
    async with (
        aiohttp.ClientSession(f"http://{edge}", headers=headers, timeout=timeout) as client,
        client.get(f"/v1/usage{query}") as answer,
    ):
        body = json.loads(await answer.read())
        return int(body["data"]["summary"]["total_jobs"])


def _fill(database_url: str, accounts: dict[int, Account]) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        for count, account in accounts.items():
            connection.execute(FILL, {"account": account.account_id, "count": count, "days": DAYS})
        connection.execute(ROLL_UP)
        # As autovacuum does before long, whatever is measured meanwhile.
        connection.execute("VACUUM ANALYZE")
