"""How long after its provider was done a job is visibly completed, while thousands are in flight."""

import asyncio
import time

import aiohttp
import psycopg

from tests.bench.report import Row
from tests.bench.walk import Customer, all_announced, receiving
from tests.e2e.local_stack import Account, Stack

FEW, MANY = 1_000, 5_000
FEW_PER_SECOND, MANY_PER_SECOND = 25, 40


async def measure_flight(stack: Stack, account: Account) -> list[Row]:
    """Measures MANY jobs in flight, which takes some five minutes."""
    return await _measure(stack, account, in_flight=MANY, per_second=MANY_PER_SECOND)


async def measure_short_flight(stack: Stack, account: Account) -> list[Row]:
    """Measures FEW jobs in flight."""
    return await _measure(stack, account, in_flight=FEW, per_second=FEW_PER_SECOND)


async def _measure(stack: Stack, account: Account, *, in_flight: int, per_second: int) -> list[Row]:
    headers = {"Authorization": f"Bearer {account.keys['live']}"}
    async with receiving() as receiver, aiohttp.ClientSession(stack.edge, headers=headers) as client:
        # When the first is done, the last was just created.
        render_seconds = in_flight // per_second
        prompt = f"[simulate: slow {render_seconds}] a boat"
        ids = await _created(Customer(client, receiver), prompt, count=in_flight, per_second=per_second)
        await all_announced(receiver, in_flight)
    lags = _lags(stack.status()["database"]["jobs"], ids, render_seconds=render_seconds)
    name = f"provider done → visible completed, {in_flight:,} in flight"
    return [
        Row(name=f"{name}: completed", measured=len(lags), goal=in_flight, better="higher"),
        Row(name=f"{name}, p50, s", measured=lags[len(lags) // 2], better="lower"),
        Row(name=f"{name}, p95, s", measured=lags[int(0.95 * (len(lags) - 1))], must=2, goal=1, better="lower"),
    ]  # fmt: skip


async def _created(customer: Customer, prompt: str, *, count: int, per_second: int) -> list[str]:
    started = time.monotonic()
    jobs = []
    for number in range(count):
        await asyncio.sleep(max(0.0, started + number / per_second - time.monotonic()))
        jobs.append(asyncio.create_task(customer.create(prompt)))
    return await asyncio.gather(*jobs)


def _lags(database_url: str, ids: list[str], *, render_seconds: int) -> list[float]:
    """Returns, sorted, how long after the provider was done each job was visibly completed.

    The provider is done `render_seconds` after the task was made, and that is after its attempt was opened, so each
    figure is a little more than the truth.
    """
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT extract(epoch FROM ended_at - opened_at) - %s FROM jobs JOIN attempts ON job_id = jobs.id"
            " WHERE jobs.id = ANY(%s) AND status = 'completed' ORDER BY 1",
            (render_seconds, ids),
        ).fetchall()
    return [float(row[0]) for row in rows]
