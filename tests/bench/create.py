"""How fast creates are and what they cost, as ratios to the echo: same Envoy, same load, turn by turn."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import aiohttp

from tests.bench.cost import Cost, cost_rows
from tests.bench.counters import Counters
from tests.bench.load import request
from tests.bench.report import Row
from tests.bench.rig import (
    CREATE_BODY,
    LOADED_CONNECTIONS,
    LOADED_SECONDS,
    PATH,
    ROUNDS,
    UNLOADED_SECONDS,
    Next,
    Rig,
    Round,
    error_row,
    p50,
    rate_row,
    ratio_row,
    running_rig,
)
from tests.bench.yardstick import Yardstick, judged
from tests.e2e.local_stack import Account, Stack

CREATE, KEYED, CROWDED = "create", "create with an idempotency key", "create beside 10,000 placed"
DATABASE = "jobs_create_bench"
JOBS_AT_ONCE = "100000"
WALKED_PER_SECOND = 20
PLACE = """
INSERT INTO work (job_id, state, account_id, environment, key_id)
SELECT 'placed_' || number, state, account_id, environment, key_id FROM (SELECT * FROM work LIMIT 1) AS one,
    generate_series(1, 10000) AS number
"""
EMPTY = ("DELETE FROM work WHERE job_id NOT LIKE 'placed%'", "VACUUM ANALYZE work")


async def measure_create(stack: Stack, account: Account, yardstick: Yardstick) -> list[Row]:
    """Measures creates of an account without placed jobs, and of another one that has 10,000.

    `work` is emptied before each round, because nothing walks these jobs.
    """
    crowded = stack.create_account("crowded", credits_each="1000000000")
    rule = ("--jobs-at-once", JOBS_AT_ONCE, "--reason", "bench")
    stack.answer("account", "rules", crowded.account_id, *rule)
    async with running_rig(stack, database=DATABASE) as rig:
        await rig.create(crowded, 1)
        rig.execute(PLACE)
        wanted = _requests(account, crowded)
        loaded = [
            await _round(rig, yardstick, _rotated(wanted, number), LOADED_CONNECTIONS, LOADED_SECONDS)
            for number in range(ROUNDS)
        ]
        only = {CREATE: wanted[CREATE]}
        alone = [await _round(rig, yardstick, only, 1, UNLOADED_SECONDS) for _ in range(ROUNDS)]
        async with _walking(stack, account):
            beside = [await _round(rig, yardstick, only, 1, UNLOADED_SECONDS) for _ in range(ROUNDS)]
        counted = await _counted(stack, rig, wanted)
    rows = [*_rows(loaded, alone, beside), *counted]
    return judged(rows, [each["echo"] for each in loaded])


def _requests(account: Account, crowded: Account) -> dict[str, Next]:
    numbers = itertools.count()
    create, other = (
        request("POST", "bench", PATH, key=each.keys["live"], body=CREATE_BODY) for each in (account, crowded)
    )

    def keyed() -> bytes:
        return request(
            "POST", "bench", PATH, key=account.keys["live"], body=CREATE_BODY,
            idempotency_key=f"bench-{next(numbers)}",
        )  # fmt: skip

    return {CREATE: lambda: create, KEYED: keyed, CROWDED: lambda: other}


def _rotated(wanted: Mapping[str, Next], number: int) -> dict[str, Next]:
    """Returns the same in another order, so that none always comes after the same one."""
    items = list(wanted.items())
    at = number % len(items)
    return dict(items[at:] + items[:at])


async def _round(
    rig: Rig, yardstick: Yardstick, wanted: Mapping[str, Next], connections: int, seconds: float
) -> Round:
    costs: dict[str, Cost] = {"echo": await yardstick.measure(connections=connections, seconds=seconds)}
    for name, next_request in wanted.items():
        await asyncio.to_thread(rig.execute, *EMPTY)
        costs[name] = await rig.measure(next_request, connections=connections, seconds=seconds)
    return costs


async def _counted(stack: Stack, rig: Rig, wanted: Mapping[str, Next]) -> list[Row]:
    counters, rows = Counters(stack, rig.databases), []
    for name in (CREATE, KEYED):
        next_request = wanted[name]

        async def run(next_request: Next = next_request) -> int:
            cost = await rig.measure(next_request, connections=LOADED_CONNECTIONS, seconds=LOADED_SECONDS)
            return len(cost.measured.latencies)

        rows += await counters.rows(name, run)
    return rows


@asynccontextmanager
async def _walking(stack: Stack, account: Account) -> AsyncIterator[None]:
    """Has the stack's worker walk WALKED_PER_SECOND jobs a second until the block ends."""
    headers = {"Authorization": f"Bearer {account.keys['live']}"}

    async def one(client: aiohttp.ClientSession) -> None:
        async with client.post(PATH, data=CREATE_BODY) as answer:
            assert answer.status == 200, await answer.text()

    async def go_on(client: aiohttp.ClientSession) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                group.create_task(one(client))
                await asyncio.sleep(1 / WALKED_PER_SECOND)

    async with aiohttp.ClientSession(stack.edge, headers=headers) as client, asyncio.TaskGroup() as group:
        walking = group.create_task(go_on(client))
        yield
        walking.cancel()


def _rows(loaded: Sequence[Round], alone: Sequence[Round], beside: Sequence[Round]) -> list[Row]:
    def cpu(of: str, to: str, *, must: float, goal: float) -> Row:
        name = f"{of}: server CPU / {to}'s"
        return ratio_row(
            name, lambda each: each[of].server_microseconds / each[to].server_microseconds, loaded,
            must=must, goal=goal, better="lower",
        )  # fmt: skip

    def rate(of: str, to: str, *, must: float, goal: float) -> Row:
        return ratio_row(
            f"{of} rate / {to} rate", lambda each: each[of].measured.per_second / each[to].measured.per_second,
            loaded, must=must, goal=goal, better="higher",
        )  # fmt: skip

    def latency(name: str, rounds: Sequence[Round], *, must: float, goal: float) -> Row:
        return ratio_row(
            name, lambda each: p50(each[CREATE]) / p50(each["echo"]), rounds, must=must, goal=goal, better="lower"
        )  # fmt: skip

    names = (CREATE, KEYED, CROWDED)
    return [
        *(rate_row(name, loaded) for name in ("echo", *names)),
        error_row("create", [each[name] for each in loaded for name in names]),
        cpu(CREATE, "echo", must=6, goal=4.8),
        cpu(CROWDED, CREATE, must=1.05, goal=1.0),
        cpu(KEYED, CREATE, must=1.2, goal=1.15),
        rate(CREATE, "echo", must=0.18, goal=0.23),
        rate(KEYED, CREATE, must=0.6, goal=0.8),
        latency("create p50 / echo p50, unloaded", alone, must=7, goal=5),
        latency(f"create p50 / echo p50, beside {WALKED_PER_SECOND} jobs/s walked", beside, must=12, goal=8),
        *(row for name in names for row in cost_rows(name, [each[name].microseconds for each in loaded])),
    ]
