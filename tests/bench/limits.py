"""What a key feels of another one that floods the stack, and what limits cost billing."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from statistics import median

import aiohttp
import psycopg

from tests.bench.report import Row
from tests.e2e.local_stack import OFTEN, Account, Stack

ROUNDS = 3
PHASE_SECONDS = 4.0
QUIET_EVERY_SECONDS = 0.05
FLOOD_EVERY_SECONDS = 0.005
"""20 times as often as the flooding key may call."""
UNDER_WAY_MAX = 64
KEYS = 2
"""In use at once."""
LATE_SECONDS = 0.5
PATH = "/v1/videos/generations/vid_none"
TURNS = "SELECT max((lease->>'turn')::bigint) FROM call_limits, jsonb_array_elements(held) AS lease WHERE key_id = %s"


async def measure_limits(stack: Stack) -> list[Row]:
    """Measures polls of a quiet key through the edge, alone and beside a flood, turn by turn.

    Requests to billing are read from the leases of the flooding key, which tell how many its holder has made.
    """
    loud, quiet = [
        Account(**await asyncio.to_thread(stack.answer, "account", "create", name, *options))
        for name, options in (("loud", ()), ("quiet", OFTEN))
    ]
    url = stack.status()["database"]["billing"]
    key_id = await asyncio.to_thread(_live_key, stack, loud)
    alone, beside, refused, asked = [], [], [], []
    async with _client(stack, quiet) as quietly, _client(stack, loud) as loudly:
        await _latencies(quietly)
        for _ in range(ROUNDS):
            alone.append(await _latencies(quietly))
            flood = asyncio.create_task(_flood(loudly))
            # The first second uses up what the key may do.
            await asyncio.sleep(1.0)
            began_at, before = time.perf_counter(), await asyncio.to_thread(_turn, url, key_id)
            beside.append(await _latencies(quietly))
            after, took = await asyncio.to_thread(_turn, url, key_id), time.perf_counter() - began_at
            refused.append(await flood)
            # Of each key the first request begins a second of its own.
            asked.append((after - before - KEYS) / took / KEYS)
    return [
        Row(
            name="p95 of a quiet key beside a flood / alone",
            measured=median(map(_p95, beside)) / median(map(_p95, alone)),
            goal=1.5,
            better="lower",
        ),
        Row(
            name="p95 of a quiet key, alone, ms",
            measured=median(map(_p95, alone)) * 1000,
            goal=None,
            better="lower",
        ),
        Row(name="refusals of the flood, 1/s", measured=median(refused), goal=None, better="higher"),
        Row(name="requests for slots, by key and second", measured=max(asked), goal=1, better="lower"),
    ]


@asynccontextmanager
async def _client(stack: Stack, account: Account) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": f"Bearer {account.keys['live']}"}
    connector = aiohttp.TCPConnector(limit=UNDER_WAY_MAX)
    async with aiohttp.ClientSession(stack.edge, headers=headers, connector=connector) as client:
        yield client


def _live_key(stack: Stack, account: Account) -> str:
    keys = stack.answer("key", "list", account.account_id)
    return next(str(key["key_id"]) for key in keys if key["environment"] == "live")


def _turn(url: str, key_id: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(TURNS, (key_id,)).fetchone()
    return row[0] or 0 if row else 0


async def _latencies(client: aiohttp.ClientSession) -> list[float]:
    """Polls at a steady pace, however long the answers take. Returns how long each took."""
    began_at = time.perf_counter()
    polls = []
    for number in itertools.count():
        due_at = began_at + number * QUIET_EVERY_SECONDS
        if due_at >= began_at + PHASE_SECONDS:
            break
        await asyncio.sleep(max(0.0, due_at - time.perf_counter()))
        polls.append(asyncio.create_task(_poll(client)))
    answers = await asyncio.gather(*polls)
    assert {status for status, _ in answers} == {404}, answers
    return [seconds for _, seconds in answers]


async def _flood(client: aiohttp.ClientSession) -> float:
    """Calls much too often for a little longer than a phase. Returns the refusals by second."""
    began_at = time.perf_counter()
    lasts_seconds = 1.0 + PHASE_SECONDS + LATE_SECONDS
    polls: set[asyncio.Task[tuple[int, float]]] = set()
    for number in itertools.count():
        due_at = began_at + number * FLOOD_EVERY_SECONDS
        if due_at >= began_at + lasts_seconds:
            break
        await asyncio.sleep(max(0.0, due_at - time.perf_counter()))
        polls.add(asyncio.create_task(_poll(client)))
    answers = await asyncio.gather(*polls)
    return sum(status == 429 for status, _ in answers) / lasts_seconds


async def _poll(client: aiohttp.ClientSession) -> tuple[int, float]:
    asked_at = time.perf_counter()
    async with client.get(PATH) as answer:
        await answer.read()
    return answer.status, time.perf_counter() - asked_at


def _p95(latencies: list[float]) -> float:
    return sorted(latencies)[int(0.95 * (len(latencies) - 1))]
