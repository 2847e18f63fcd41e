"""How fast polls and creates are, as ratios to the echo: same Envoy, same load, turn by turn."""

import itertools
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from statistics import median
from typing import Any

import aiohttp
import psycopg

from tests.bench.load import Measured, load, request
from tests.bench.processes import open_edge, start, start_api
from tests.bench.report import Row
from tests.conftest import free_port
from tests.e2e.local_stack import Account, Stack

LOADED_CONNECTIONS = 32
ROUNDS = 7
LOADED_SECONDS = 2.5
UNLOADED_SECONDS = 1.0
DATABASE = "jobs_bench"
KEYED_CREATE = "create with an idempotency key"
JOBS = 64
"""Polled in turn."""
CREATE_BODY = json.dumps(
    {
        "model": "mini",
        "input": {
            "prompt": "A cinematic drone shot of waves breaking against black volcanic rocks",
            "duration": 5,
        },
        "metadata": {"customer_job_id": "job_123"},
    }
).encode()
Requests = dict[str, tuple[str, Callable[[], bytes]]]
"""By name: `host:port`, and what to send there."""
Round = dict[str, Measured]
"""The same, measured one right after the other."""


async def measure_api(stack: Stack, account: Account) -> list[Row]:
    """Measures a jobs api process of its own, without a worker, on the stack's PostgreSQL and billing.

    Ratios are taken within a round and their median over all rounds, because a shared machine is not the same
    machine ten seconds later.
    """
    async with AsyncExitStack() as opened:
        requests = await opened.enter_async_context(_targets(stack, account))
        loaded = [
            await _round(requests, connections=LOADED_CONNECTIONS, seconds=LOADED_SECONDS)
            for _ in range(ROUNDS)
        ]
        del requests[KEYED_CREATE]
        alone = [await _round(requests, connections=1, seconds=UNLOADED_SECONDS) for _ in range(ROUNDS)]
    failed = sum(
        count
        for each in loaded
        for name in ("create", KEYED_CREATE)
        for status, count in each[name].statuses.items()
        if status != 200
    )
    rates = [
        Row(
            name=f"{name}, requests/s",
            measured=median(each[name].per_second for each in loaded),
            goal=None,
            better="higher",
        )
        for name in loaded[0]
    ]
    return [
        *rates,
        _rate_ratio(loaded, "poll", goal=0.40),
        _rate_ratio(loaded, "create", goal=0.14),
        Row(name="create errors under load", measured=failed, goal=0, better="lower"),
        Row(
            name="echo p50 unloaded, ms",
            measured=median(each["echo"].percentile(0.5) for each in alone) * 1000,
            goal=None,
            better="lower",
        ),
        _latency_ratio(alone, "poll", goal=4),
        _latency_ratio(alone, "create", goal=12),
        Row(
            name=f"{KEYED_CREATE} rate / create rate",
            measured=median(each[KEYED_CREATE].per_second / each["create"].per_second for each in loaded),
            goal=0.6,
            better="higher",
        ),
    ]


def _rate_ratio(rounds: Sequence[Round], name: str, *, goal: float) -> Row:
    ratio = median(each[name].per_second / each["echo"].per_second for each in rounds)
    return Row(name=f"{name} rate / echo rate", measured=ratio, goal=goal, better="higher")


def _latency_ratio(rounds: Sequence[Round], name: str, *, goal: float) -> Row:
    ratio = median(each[name].percentile(0.5) / each["echo"].percentile(0.5) for each in rounds)
    return Row(name=f"{name} p50 / echo p50, unloaded", measured=ratio, goal=goal, better="lower")


async def _round(requests: Requests, *, connections: int, seconds: float) -> Round:
    return {
        name: await load(host, next_request, connections=connections, seconds=seconds)
        for name, (host, next_request) in requests.items()
    }


@asynccontextmanager
async def _targets(stack: Stack, account: Account) -> AsyncIterator[Requests]:
    status = stack.status()
    async with AsyncExitStack() as opened:
        api, database_url = await start_api(opened, stack, database=DATABASE)
        real = await opened.enter_async_context(open_edge(status, api))
        poll_answer, job_ids = await _completed_jobs(real, account, database_url)
        echo = f"127.0.0.1:{free_port()}"
        await start(opened, "tests.bench.echo", echo, json.dumps(poll_answer), environment={})
        yardstick = await opened.enter_async_context(open_edge(status, echo))
        key, path = account.keys["live"], "/v1/videos/generations"
        polls = itertools.cycle([request("GET", "bench", f"{path}/{job_id}", key=key) for job_id in job_ids])
        create = request("POST", "bench", path, key=key, body=CREATE_BODY)
        numbers = itertools.count()

        def keyed_create() -> bytes:
            return request(
                "POST", "bench", path, key=key, body=CREATE_BODY, idempotency_key=f"bench-{next(numbers)}"
            )

        yield {
            "echo": (yardstick, polls.__next__),
            "poll": (real, polls.__next__),
            "create": (real, lambda: create),
            KEYED_CREATE: (real, keyed_create),
        }


async def _completed_jobs(edge: str, account: Account, database_url: str) -> tuple[dict[str, Any], list[str]]:
    """Returns the poll answer of one completed job, and the ids of JOBS of them."""
    headers = {"Authorization": f"Bearer {account.keys['live']}"}
    async with aiohttp.ClientSession(f"http://{edge}", headers=headers) as client:
        job_ids = []
        for _ in range(JOBS):
            async with client.post("/v1/videos/generations", data=CREATE_BODY) as answer:
                job_ids.append((await answer.json())["data"]["id"])
        with psycopg.connect(database_url) as connection:
            connection.execute(
                "UPDATE jobs SET status = 'completed', ended_at = now(), charged_micros = reserved_micros,"
                " video_url = 'http://media.example/' || id || '.mp4',"
                " thumbnail_url = 'http://media.example/' || id || '.jpg', output_seconds = 5"
            )
        async with client.get(f"/v1/videos/generations/{job_ids[0]}") as answer:
            return await answer.json(), job_ids
