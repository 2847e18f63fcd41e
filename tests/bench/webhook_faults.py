"""What webhooks lose to a dispatcher that is killed, to a receiver that never ends its answer, and to a neighbour."""

import asyncio
import signal
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from statistics import median
from typing import Any

import psycopg

from tests.bench.offering import START_SECONDS, Webhooks, percentile
from tests.bench.receiver import Receiver, first_arrivals
from tests.bench.report import Row

KILL_PER_SECOND = 100
KILL_AFTER_SECONDS = 2.0
KILL_SECONDS = 6.0
HELD_MIN = 5
BUSIEST = """
    SELECT owner FROM heads WHERE owner IS NOT NULL
    GROUP BY owner HAVING count(*) >= %s ORDER BY count(*) DESC LIMIT 1
"""
HELD = "SELECT event_id FROM heads JOIN deliveries USING (job_id, target_id) WHERE owner = %s"

TAR_EVENTS = 200
"""What waits for the tar pit all the time."""
TAR_PER_SECOND = 100
ROUNDS = 10
ROUND_SECONDS = 1.2
"""All rounds pass before the first attempts at the tar pit time out: it holds as many as it may."""


NEIGHBOUR_LANES = 100
NEIGHBOUR_EACH = 1_000
NEIGHBOUR = "acct_neighbour"
BACKLOG = (
    """INSERT INTO events (event_id, job_id, account_id, environment, contract, type, sequence, body, occurred_at)
    SELECT 'evt_n' || n, 'vid_n' || n, %(account)s, 'live', 'seedancee2', 'video.generation.completed', 1, '{}', now()
    FROM generate_series(1, %(each)s * cardinality(CAST(%(urls)s AS text[]))) AS n""",
    """INSERT INTO deliveries (job_id, target_id, sequence, event_id, target_url, account_id, environment)
    SELECT 'vid_n' || n, 'callback', 1, 'evt_n' || n, urls[1 + n %% cardinality(urls)], %(account)s, 'live'
    FROM CAST(%(urls)s AS text[]) AS urls, generate_series(1, %(each)s * cardinality(urls)) AS n""",
    """SELECT open_heads(array_agg(job_id), array_agg(target_id), array_agg(sequence))
    FROM deliveries WHERE account_id = %(account)s""",
)
"""What waits for the neighbour, at as many receivers as there are addresses."""


async def measure_kill(webhooks: Webhooks, receiver: Receiver) -> list[Row]:
    """Kills one of two dispatchers under load, whose receiver takes its time, so that they have deliveries in hand."""
    slow = f"{receiver.origins[0]}/slow"
    await receiver.take()
    async with AsyncExitStack() as opened:
        dispatchers = dict([await webhooks.start_dispatcher(opened) for _ in range(2)])
        offering = asyncio.create_task(webhooks.offer(slow, per_second=KILL_PER_SECOND, seconds=KILL_SECONDS))
        await asyncio.sleep(KILL_AFTER_SECONDS)
        owner = await _busiest(webhooks)
        # Stopped first, so that what it has is known.
        dispatchers[owner].send_signal(signal.SIGSTOP)
        held = {event_id for (event_id,) in await webhooks.rows(HELD, owner)}
        killed_at = time.time()
        dispatchers[owner].kill()
        event_ids = await offering
        await webhooks.drained(slow)
    received = await receiver.take()
    resumed = first_arrivals(each for each in received if each.at > killed_at)
    waits = [resumed.get(event_id, time.time()) - killed_at for event_id in held]
    lost = set(event_ids) - {each.event_id for each in received}
    name = "dispatcher killed with -9"
    return [
        Row(name=f"{name}: deliveries it had", measured=len(held), goal=None, better="higher"),
        Row(name=f"{name}: first of them sent again after, s", measured=min(waits), goal=5, better="lower"),
        Row(name=f"{name}: last of them sent again after, s", measured=max(waits), goal=5, better="lower"),
        Row(name=f"{name}: events lost", measured=len(lost), goal=0, better="lower"),
    ]


async def _busiest(webhooks: Webhooks) -> Any:
    async with asyncio.timeout(START_SECONDS):
        while not (found := await webhooks.rows(BUSIEST, HELD_MIN)):  # noqa: ASYNC110  nobody rings
            await asyncio.sleep(0.05)
    return found[0][0]


async def measure_tar_pit(without: Webhooks, beside: Webhooks, receiver: Receiver) -> list[Row]:
    """Compares two services: the account of one has a receiver besides that never ends its answer.

    They are measured at the same time, so that whatever else the machine does meets both.
    """
    await beside.offer(f"{receiver.origins[1]}/tar", per_second=TAR_EVENTS, seconds=1.0)
    rounds = [await _p95s((without, beside), receiver) for _ in range(ROUNDS)]
    ratio = median(with_tar_pit / alone for alone, with_tar_pit in rounds)
    alone_ms, with_tar_pit_ms = (median(p95s) * 1000 for p95s in zip(*rounds, strict=True))
    name = "webhook p95 beside a tar pit"
    return [
        Row(name=f"{name}, ms", measured=with_tar_pit_ms, goal=None, better="lower"),
        Row(name="webhook p95 without it, ms", measured=alone_ms, goal=None, better="lower"),
        Row(name=f"{name} / without it", measured=ratio, goal=1.1, better="lower"),
    ]


async def measure_neighbour(without: Webhooks, beside: Webhooks, receiver: Receiver) -> list[Row]:
    """Compares two services: in one, another account has a large backlog at many receivers that take their time."""
    urls = [f"{origin}/slow" for origin in receiver.origins[-NEIGHBOUR_LANES:]]
    async with await psycopg.AsyncConnection.connect(beside.database_url, autocommit=True) as connection:
        for statement in BACKLOG:
            bound = {"account": NEIGHBOUR, "each": NEIGHBOUR_EACH, "urls": urls}
            await connection.execute(statement.encode(), bound)
    rounds = [await _p95s((without, beside), receiver) for _ in range(ROUNDS)]
    [(left,)] = await beside.rows("SELECT count(*) FROM heads WHERE lane_id LIKE %s", f"{NEIGHBOUR}%")
    alone_ms, beside_ms = (median(p95s) * 1000 for p95s in zip(*rounds, strict=True))
    ratio = median(with_neighbour / alone for alone, with_neighbour in rounds)
    name = f"webhook p95 beside a neighbour's {NEIGHBOUR_LANES} x {NEIGHBOUR_EACH} due"
    return [
        Row(name=f"{name}, ms", measured=beside_ms, goal=None, better="lower"),
        Row(name="webhook p95 without them, ms", measured=alone_ms, goal=None, better="lower"),
        Row(name=f"{name} / without them", measured=ratio, goal=2, better="lower"),
        Row(name="of them left at the end", measured=left, goal=1, better="higher"),
    ]


async def _p95s(services: Sequence[Webhooks], receiver: Receiver) -> list[float]:
    await receiver.take()
    offered = await asyncio.gather(
        *(
            webhooks.offer(receiver.hook, per_second=TAR_PER_SECOND, seconds=ROUND_SECONDS)
            for webhooks in services
        )
    )
    for webhooks in services:
        await webhooks.drained(receiver.hook)
    received = await receiver.take()
    return [
        percentile(await webhooks.latencies(event_ids, received), 0.95)
        for webhooks, event_ids in zip(services, offered, strict=True)
    ]
