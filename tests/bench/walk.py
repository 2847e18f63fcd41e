"""How fast whole jobs are, from create to the webhook, and what they cost."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from tests.bench.cost import APART, cost_rows, per_request
from tests.bench.counters import Counters
from tests.bench.cpu import Meter, Threads, spent
from tests.bench.report import Row
from tests.bench.yardstick import ECHO_EDGE
from tests.e2e.local_stack import Account, Stack

OUTSTANDING = 120
"""Jobs under way at once: a new one is created for each that was announced."""
WARM_SECONDS = 5.0
WALK_SECONDS = 20.0
COUNTED_JOBS = 200
DATABASES = ("jobs", "billing", "webhooks")

ANNOUNCED_SECONDS_MAX = 60.0


class Receiver:
    """A customer's endpoint: notes when each job was announced."""

    def __init__(self) -> None:
        self.announced: dict[str, float] = {}
        self.news = asyncio.Queue[str]()
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        job_id = (await request.json())["data"]["id"]
        if job_id not in self.announced:
            self.announced[job_id] = time.monotonic()
            self.news.put_nowait(job_id)
        return web.Response()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    application = web.Application()
    application.router.add_post("/", receiver.take)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        yield receiver
    finally:
        await runner.cleanup()


class Customer:
    """Creates jobs whose end the receiver hears of."""

    def __init__(self, client: aiohttp.ClientSession, receiver: Receiver) -> None:
        self._client = client
        self._receiver = receiver

    async def create(self, prompt: str) -> str:
        body = {
            "model": "mini",
            "callback_url": self._receiver.url,
            "input": {"prompt": prompt, "duration": 4, "resolution": "480p"},
        }
        async with self._client.post("/v1/videos/generations", data=json.dumps(body)) as answer:
            assert answer.status == 200, await answer.text()
            job_id: str = (await answer.json())["data"]["id"]
            return job_id


async def measure_walk(stack: Stack, account: Account) -> list[Row]:
    """Measures the stack as it is, with its worker and the instant simulator."""
    headers = {"Authorization": f"Bearer {account.keys['live']}"}
    async with receiving() as receiver, aiohttp.ClientSession(stack.edge, headers=headers) as client:
        customer = Customer(client, receiver)
        rate, microseconds = await _throughput(customer, receiver, _meter(stack))
        counted = await Counters(stack, DATABASES).rows(
            "whole walk", lambda: _walked(customer, receiver), musts=(4, 4, 2), goals=(3, 3, 1.5)
        )
    return [
        Row(name="whole walk, jobs/s", measured=rate, must=100, goal=120, better="higher"),
        Row(
            name="whole walk: server CPU, ms a job",
            measured=sum(each for name, each in microseconds.items() if name not in APART) / 1000,
            must=17,
            goal=14,
            better="lower",
        ),
        *cost_rows("whole walk", [microseconds]),
        *counted,
    ]


def _meter(stack: Stack) -> Meter:
    processes = {each["name"]: [each["pid"]] for each in stack.status()["processes"]}
    del processes["postgres"]  # whose processes are told apart
    processes[ECHO_EDGE] = processes.pop("edge")
    return Meter(processes, url=stack.cluster().url(), databases=DATABASES)


async def _walked(customer: Customer, receiver: Receiver) -> int:
    await asyncio.gather(*(customer.create(f"counted {number}") for number in range(COUNTED_JOBS)))
    await all_announced(receiver, COUNTED_JOBS)
    return COUNTED_JOBS


async def _throughput(customer: Customer, receiver: Receiver, meter: Meter) -> tuple[float, dict[str, float]]:
    """Returns jobs a second, and the microseconds of processor time of one job by process."""
    for number in range(OUTSTANDING):
        await customer.create(f"walk {number}")
    started = time.monotonic()
    measured_from = started + WARM_SECONDS
    until = measured_from + WALK_SECONDS
    replacing: set[asyncio.Task[str]] = set()
    times: list[tuple[float, Threads]] = []
    while time.monotonic() < until:
        await asyncio.wait_for(receiver.news.get(), ANNOUNCED_SECONDS_MAX)
        if not times and time.monotonic() >= measured_from:
            times.append((time.monotonic(), await asyncio.to_thread(meter.read)))
        task = asyncio.create_task(customer.create("walk on"))
        replacing.add(task)
        task.add_done_callback(replacing.discard)
    times.append((time.monotonic(), await asyncio.to_thread(meter.read)))
    await asyncio.gather(*replacing)
    (measured_from, before), (until, after) = times
    announced = sum(measured_from <= moment < until for moment in receiver.announced.values())
    await all_announced(receiver, OUTSTANDING)
    return announced / (until - measured_from), {
        name: per_request(each, announced) for name, each in spent(before, after).items()
    }


async def all_announced(receiver: Receiver, missing: int) -> None:
    for _ in range(missing):
        await asyncio.wait_for(receiver.news.get(), ANNOUNCED_SECONDS_MAX)
