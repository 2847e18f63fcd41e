"""Order and at-least-once, under a receiver that fails, hangs and drops, two dispatchers, and kills.

What the receiver does is drawn from a seed, and time passes fast: whatever waits for its next attempt becomes due.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

from aiohttp import web

from services.webhooks.domain import ATTEMPTS_MAX
from services.webhooks.settings import WebhooksSettings
from services.webhooks.wiring import Role
from tests.integration.webhooks.dispatching import register
from tests.integration.webhooks.processes import dispatcher_process
from tests.integration.webhooks.receiver import Receiver, until
from tests.integration.webhooks.service import Client, Database, event, open_client
from tests.patience import PATIENCE_SECONDS
from tests.standard_webhooks import verified

SEED = "2026-11-22"
WAVES = 4
WAVE_JOBS = 8
SEQUENCES = (1, 2, 3)
PATHS = {"callback": "/own", "whe_1": "/endpoint"}
EVENTS = len(PATHS) * WAVES * WAVE_JOBS * len(SEQUENCES)
HANG_SECONDS = 1.0
FAST_FORWARD_SECONDS = 0.1
Place = tuple[str, str]
"""Where an event arrived: the path, and the event's id."""
ENDS = "SELECT event_id, target_id, outcome, attempt_count FROM deliveries"
FAST_FORWARD = (
    b"""WITH waiting AS (
        SELECT job_id, target_id FROM heads WHERE lease_no IS NULL AND due_at > now() FOR UPDATE SKIP LOCKED
    ) UPDATE heads SET due_at = now() FROM waiting
    WHERE heads.job_id = waiting.job_id AND heads.target_id = waiting.target_id""",
    b"""WITH waiting AS (SELECT lane_id FROM lanes WHERE next_due_at > now() FOR UPDATE SKIP LOCKED)
    UPDATE lanes SET next_due_at = now() FROM waiting WHERE lanes.lane_id = waiting.lane_id""",
    b"""WITH waiting AS (SELECT account_id FROM turns WHERE next_due_at > now() FOR UPDATE SKIP LOCKED)
    UPDATE turns SET next_due_at = now() FROM waiting WHERE turns.account_id = waiting.account_id""",
)


@dataclass
class Whims:
    """What a receiver does with each request, and what it has seen."""

    requests: Counter[Place] = field(default_factory=Counter)
    taken: set[Place] = field(default_factory=set)
    overtaking: list[Place] = field(default_factory=list)
    """What came before its predecessor was taken, or tried as often as it may be."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        place = (request.path, request.headers["webhook-id"])
        job, _, sequence = place[1].rpartition("-")
        previous = (request.path, f"{job}-{int(sequence) - 1}")
        if sequence != "1" and previous not in self.taken and self.requests[previous] < ATTEMPTS_MAX:
            self.overtaking.append(place)
        self.requests[place] += 1
        drawn = hashlib.sha256(f"{SEED} {place} {self.requests[place]}".encode()).digest()[0] / 256
        if drawn < 0.3:
            return web.Response(status=500)
        if drawn < 0.35:
            return web.Response(status=429, headers={"Retry-After": "7"})
        if drawn < 0.5:
            if drawn < 0.4:
                await asyncio.sleep(HANG_SECONDS)
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        self.taken.add(place)
        return web.Response()


@asynccontextmanager
async def _time_passing_fast(database: Database) -> AsyncIterator[None]:
    async def pass_fast() -> None:
        async with database.connection() as connection:
            while True:
                for statement in FAST_FORWARD:
                    await connection.execute(statement)
                await asyncio.sleep(FAST_FORWARD_SECONDS)

    async with asyncio.TaskGroup() as group:
        passing = group.create_task(pass_fast())
        yield
        passing.cancel()


async def _kill_while_delivering(
    client: Client, url: str, *, settings: WebhooksSettings, whims: Whims, stack: AsyncExitStack
) -> None:
    """Keeps two dispatchers running, and in the midst of every wave of events kills the older one."""
    running = [await stack.enter_async_context(dispatcher_process(settings)) for _ in range(2)]
    for wave in range(WAVES):
        before = len(whims.taken)
        for sequence in SEQUENCES:
            names = (f"vid_{wave}_{job}" for job in range(WAVE_JOBS))
            await client.accept(*(event(name, sequence, target_url=url) for name in names))
        await until(partial(_has_taken, whims, before + WAVE_JOBS), seconds=PATIENCE_SECONDS)
        running.pop(0).kill()
        running.append(await stack.enter_async_context(dispatcher_process(settings)))


def _has_taken(whims: Whims, count: int) -> bool:
    return len(whims.taken) >= count


async def test_nothing_is_lost_or_overtaken_whatever_fails_and_whoever_dies(
    settings: WebhooksSettings, receiver: Receiver, database: Database
) -> None:
    whims = Whims()
    receiver.answers |= dict.fromkeys(PATHS.values(), whims.answer)
    secret = await register(database, settings, "whe_1", url=receiver.url + "/endpoint")
    async with (
        open_client(settings, role=Role.API) as client,
        _time_passing_fast(database),
        AsyncExitStack() as stack,
    ):
        await _kill_while_delivering(
            client, receiver.url + "/own", settings=settings, whims=whims, stack=stack
        )
        await database.shows("SELECT 1 WHERE NOT EXISTS (SELECT FROM heads)")
    ends = await database.rows(ENDS)

    assert whims.overtaking == []
    assert len(ends) == EVENTS
    for end in ends:
        assert 1 <= end["attempt_count"] <= ATTEMPTS_MAX
        if end["outcome"] == "delivered":
            assert (PATHS[end["target_id"]], end["event_id"]) in whims.taken
        else:
            assert (end["outcome"], end["attempt_count"]) == ("dead_lettered", ATTEMPTS_MAX)
    assert len({(each.path, each.event_id, each.body) for each in receiver.received}) == EVENTS
    assert len(receiver.received) > EVENTS
    for each in receiver.received:
        if each.path == "/endpoint":
            verified(each.body, each.headers, secret=secret, at=each.came_at)
