"""What an account with a million stored jobs pays for each kind of request, beside the same account with a thousand."""

import asyncio
import itertools
from collections.abc import Mapping
from contextlib import AsyncExitStack

import psycopg

from services.common.postgres.database import open_pool
from tests.bench.create import EMPTY
from tests.bench.load import request
from tests.bench.report import Row
from tests.bench.rig import CREATE_BODY, PATH, Next, Rig, Round, error_row, p50, ratio_row, running_rig
from tests.bench.usage import ROLL_UP, usage_requests
from tests.e2e.local_stack import Account, Stack
from tests.integration.jobs.months import divide

FEW, MANY = 1_000, 1_000_000
MONTHS = 6
DAYS = 30 * MONTHS
"""Over which the jobs are spread evenly, each month in a partition of its own."""
CONNECTIONS = 8
SECONDS, ALONE_SECONDS = 1.0, 0.5
ROUNDS = 5
POLLED = 64
RATIO_MAX = 1.2
RULE = ("--jobs-at-once", "100000", "--reason", "bench")
DATABASES = {FEW: "jobs_few_stored_bench", MANY: "jobs_many_stored_bench"}
CREATE = "create"
FILL = """
    INSERT INTO jobs (id, account_id, environment, contract, status, model, input, price_version, micros_per_second,
        reserved_micros, charged_micros, created_at, ended_at, video_url, thumbnail_url, output_seconds)
    SELECT 'vid_' || ulid_at(moment) || lpad(n::text, 16, '0'), %(account)s, 'live', 'seedancee2', 'completed',
        (ARRAY['pro', 'fast', 'mini'])[1 + n %% 3],
        '{"prompt":"' || repeat('waves ', 20) || '","duration_seconds":5,"resolution":"720p","aspect_ratio":"16:9",'
            '"generate_audio":false,"watermark":false,"return_last_frame":false,"seed":7}',
        '1', 10000000, 50000000, 50000000, moment, moment, 'http://media.example/v.mp4', 'http://media.example/t.jpg', 5
    FROM generate_series(1, %(count)s) AS n,
        LATERAL (SELECT date_trunc('milliseconds', now() - n * (interval '1 day' * %(days)s / %(count)s))) AS at (moment)
"""
SOME = "SELECT id FROM jobs WHERE account_id = %s ORDER BY md5(id) LIMIT %s"


async def measure_stored(stack: Stack) -> list[Row]:
    """Measures two api processes, each with an edge and a database of its own, in turn."""
    account = stack.create_account("stored", credits_each="1000000000")
    stack.answer("account", "rules", account.account_id, *RULE)
    async with AsyncExitStack() as opened:
        rigs = {
            count: await opened.enter_async_context(running_rig(stack, database=database))
            for count, database in DATABASES.items()
        }
        wanted: dict[int, Mapping[str, Next]] = {}
        for count, rig in rigs.items():
            await _divide(rig)
            await asyncio.to_thread(_fill, rig, account, count)
            wanted[count] = await asyncio.to_thread(_requests, rig, account)
        await _round(rigs, wanted, connections=CONNECTIONS, seconds=SECONDS)
        loaded = [await _round(rigs, wanted, connections=CONNECTIONS, seconds=SECONDS) for _ in range(ROUNDS)]
        alone = [await _round(rigs, wanted, connections=1, seconds=ALONE_SECONDS) for _ in range(ROUNDS)]
    return _rows(loaded, alone)


async def _divide(rig: Rig) -> None:
    async with open_pool(rig.database_url, name="bench", connections_max=1) as pool:
        await divide(pool, months=MONTHS)


def _fill(rig: Rig, account: Account, count: int) -> None:
    with psycopg.connect(rig.database_url, autocommit=True) as connection:
        connection.execute(FILL, {"account": account.account_id, "count": count, "days": DAYS})
        connection.execute(ROLL_UP)
        # As autovacuum does before long.
        connection.execute("VACUUM ANALYZE")


def _requests(rig: Rig, account: Account) -> dict[str, Next]:
    key = account.keys["live"]
    with psycopg.connect(rig.database_url) as connection:
        ids = [each for (each,) in connection.execute(SOME, (account.account_id, POLLED))]
    polls = itertools.cycle([request("GET", "bench", f"{PATH}/{each}", key=key) for each in ids])
    pages = [
        request("GET", "bench", f"{PATH}{query}", key=key)
        for query in ("", "?limit=100", *(f"?after={each}" for each in ids[:8]))
    ]
    create = request("POST", "bench", PATH, key=key, body=CREATE_BODY)
    return {
        CREATE: lambda: create,
        "poll": polls.__next__,
        "list": itertools.cycle(pages).__next__,
        "usage": usage_requests(account),
    }


async def _round(
    rigs: Mapping[int, Rig], wanted: Mapping[int, Mapping[str, Next]], *, connections: int, seconds: float
) -> Round:
    costs = {}
    for what in wanted[FEW]:
        for count, rig in rigs.items():
            if what == CREATE:
                await asyncio.to_thread(rig.execute, *EMPTY)
            costs[_name(what, count)] = await rig.measure(
                wanted[count][what], connections=connections, seconds=seconds
            )
    return costs


def _name(what: str, count: int) -> str:
    return f"{what} with {count:,} stored"


def _rows(loaded: list[Round], alone: list[Round]) -> list[Row]:
    rows = []
    for what in (CREATE, "poll", "list", "usage"):
        few, many = _name(what, FEW), _name(what, MANY)

        def cpu(each: Round, few: str = few, many: str = many) -> float:
            return each[many].server_microseconds / each[few].server_microseconds

        def latency(each: Round, few: str = few, many: str = many) -> float:
            return p50(each[many]) / p50(each[few])

        name = f"{what} with {MANY:,} stored jobs / with {FEW:,}"
        rows += [
            ratio_row(f"{name}: server CPU", cpu, loaded, must=RATIO_MAX, goal=1.0, better="lower"),
            ratio_row(f"{name}: p50 unloaded", latency, alone, must=RATIO_MAX, goal=1.0, better="lower"),
            error_row(name, [each[number] for each in (*loaded, *alone) for number in (few, many)]),
        ]
    return rows
