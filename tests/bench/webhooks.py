"""How fast webhooks arrive, beside a bare POST, and how many per second."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from statistics import median

import aiohttp
from standardwebhooks import Webhook, WebhookVerificationError

from tests.bench.cost import cost_rows, per_request
from tests.bench.cpu import spent
from tests.bench.offering import BODY, Webhooks, open_webhooks, percentile
from tests.bench.receiver import Received, Receiver, first_arrivals, running_receiver
from tests.bench.report import Row
from tests.bench.webhook_faults import NEIGHBOUR_LANES, measure_kill, measure_neighbour, measure_tar_pit
from tests.e2e.local_stack import Stack

WARM_SECONDS = 2.0
STEADY_PER_SECOND = 200
STEADY_SECONDS = 15.0
POST_SECONDS = 3.0
HEAVY_PER_SECOND = 1_000
HEAVY_SECONDS = 12.0
GROWTH_MAX = HEAVY_PER_SECOND / 10
"""A backlog that grows by no more than a tenth of a second's worth does not grow: what is in hand varies."""
SAMPLE_SECONDS = 0.25


async def measure_webhooks(stack: Stack) -> list[Row]:
    """Measures webhooks processes of its own on the stack's PostgreSQL. All events are one account's."""
    opened = partial(open_webhooks, stack)
    async with running_receiver(ports=2 + NEIGHBOUR_LANES) as receiver:
        async with opened(database="webhooks_bench", role="all") as webhooks:
            await _warm(webhooks, receiver)
            rows = [
                *await _steady(webhooks, receiver),
                *await _posts(receiver),
                *await _heavy(webhooks, receiver),
            ]
        async with (
            opened(database="webhooks_calm_bench", role="all") as without,
            opened(database="webhooks_tar_bench", role="all") as beside,
        ):
            await _warm(without, receiver)
            await _warm(beside, receiver)
            rows += await measure_tar_pit(without, beside, receiver)
        async with (
            opened(database="webhooks_alone_bench", role="all") as without,
            opened(database="webhooks_neighbour_bench", role="all") as beside,
        ):
            await _warm(without, receiver)
            await _warm(beside, receiver)
            rows += await measure_neighbour(without, beside, receiver)
        async with opened(database="webhooks_kill_bench", role="api") as webhooks:
            rows += await measure_kill(webhooks, receiver)
    return rows


async def _warm(webhooks: Webhooks, receiver: Receiver) -> None:
    await webhooks.offer(receiver.hook, per_second=STEADY_PER_SECOND, seconds=WARM_SECONDS)
    await webhooks.drained(receiver.hook)
    await receiver.take()


async def _steady(webhooks: Webhooks, receiver: Receiver) -> list[Row]:
    before = await asyncio.to_thread(webhooks.meter.read)
    event_ids = await webhooks.offer(receiver.hook, per_second=STEADY_PER_SECOND, seconds=STEADY_SECONDS)
    await webhooks.drained(receiver.hook)
    times = spent(before, await asyncio.to_thread(webhooks.meter.read))
    latencies = await webhooks.latencies(event_ids, await receiver.take())
    name = f"webhook at {STEADY_PER_SECOND} events/s, commit → received"
    return [
        *_percentiles(name, latencies, p95_goal_ms=30),
        *cost_rows("webhook", [{name: per_request(time, len(event_ids)) for name, time in times.items()}]),
    ]


async def _posts(receiver: Receiver) -> list[Row]:
    """Measures the yardstick: the same body posted by nothing but aiohttp, at the same rate."""
    sent_at: dict[str, float] = {}

    async def post(client: aiohttp.ClientSession, number: str) -> None:
        headers = {"Content-Type": "application/json", "webhook-id": number}
        sent_at[number] = time.time()
        async with client.post(receiver.hook, headers=headers, data=BODY.encode()) as answer:
            await answer.read()

    started = time.monotonic()
    async with aiohttp.ClientSession() as client, asyncio.TaskGroup() as group:
        for number in range(round(STEADY_PER_SECOND * POST_SECONDS)):
            await asyncio.sleep(max(0.0, started + number / STEADY_PER_SECOND - time.monotonic()))
            group.create_task(post(client, str(number)))
    arrived = first_arrivals(await receiver.take())
    latencies = sorted(arrived[number] - at for number, at in sent_at.items())
    return _percentiles("bare aiohttp POST of the same body → received", latencies, p95_goal_ms=None)


async def _heavy(webhooks: Webhooks, receiver: Receiver) -> list[Row]:
    started = time.monotonic()
    async with _sampled(webhooks, receiver.hook) as backlogs:
        event_ids = await webhooks.offer(receiver.hook, per_second=HEAVY_PER_SECOND, seconds=HEAVY_SECONDS)
    rate = len(event_ids) / (time.monotonic() - started)
    await webhooks.drained(receiver.hook)
    received = await receiver.take()
    latencies = await webhooks.latencies(event_ids, received)
    verified = _verified(received, webhooks.secret)
    third = len(backlogs) // 3
    growth = median(backlogs[-third:]) - median(backlogs[third:-third])
    share = len(verified & set(event_ids)) / len(event_ids)
    strangers = {each.event_id for each in received} - set(event_ids)
    name = f"webhooks at {HEAVY_PER_SECOND} events/s"
    return [
        Row(name=f"{name}: offered, events/s", measured=rate, goal=0.99 * HEAVY_PER_SECOND, better="higher"),
        Row(name=f"{name}: growth of the backlog", measured=growth, goal=GROWTH_MAX, better="lower"),
        Row(name=f"{name}: received and verified, %", measured=100 * share, goal=100, better="higher"),
        Row(name=f"{name}: received, never offered", measured=len(strangers), goal=0, better="lower"),
        *_percentiles(f"{name}, commit → received", latencies, p95_goal_ms=None),
    ]


@asynccontextmanager
async def _sampled(webhooks: Webhooks, url: str) -> AsyncIterator[list[int]]:
    """Notes the backlog every SAMPLE_SECONDS while the block lasts."""
    backlogs: list[int] = []

    async def sample() -> None:
        while True:
            backlogs.append(await webhooks.backlog(url))
            await asyncio.sleep(SAMPLE_SECONDS)

    async with asyncio.TaskGroup() as group:
        sampling = group.create_task(sample())
        yield backlogs
        sampling.cancel()


def _verified(received: Iterable[Received], secret: str) -> set[str]:
    """Returns the events that came with a good signature, every time they came."""
    webhook, verified, refused = Webhook(secret), set(), set()
    for each in received:
        try:
            webhook.verify(each.body, each.headers)
            verified.add(each.event_id)
        except WebhookVerificationError:
            refused.add(each.event_id)
    return verified - refused


def _percentiles(name: str, latencies: Sequence[float], *, p95_goal_ms: float | None) -> list[Row]:
    p50_ms, p95_ms = (percentile(latencies, share) * 1000 for share in (0.5, 0.95))
    return [
        Row(name=f"{name}, p50, ms", measured=p50_ms, goal=None, better="lower"),
        Row(name=f"{name}, p95, ms", measured=p95_ms, goal=p95_goal_ms, better="lower"),
    ]
