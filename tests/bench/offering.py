"""Webhooks processes of a bench's own, and events that are offered to them at a steady rate."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from cryptography.fernet import Fernet
from reelgate.internal.intake.v1.event_pb2 import Event

from services.common.ids import new_id
from services.common.loop import REST_SECONDS
from services.common.postgres.migrate import migrate
from services.devstack import readiness
from services.devstack.folder import StackFolder
from services.jobs.duties.relay_events import EVENTS_MAX
from tests.bench.cpu import Meter
from tests.bench.processes import start
from tests.bench.receiver import Received, first_arrivals
from tests.conftest import free_port
from tests.e2e.local_stack import Stack
from tests.integration.webhooks.service import Client, open_client_of

ACCOUNT = "acct_bench"
START_SECONDS = 30.0
DRAIN_SECONDS = 10.0
BODY = """{
  "data": {
    "id": "%s",
    "status": "completed",
    "model": "pro",
    "created_at": "2026-06-29T10:00:00.000Z",
    "completed_at": "2026-06-29T10:06:20.000Z",
    "credits_charged": 100,
    "output": {
      "video_url": "http://media.example/videos/2026/06/29/01jz8b7q4x8k2p9w3m5c6n7r8s.mp4",
      "thumbnail_url": "http://media.example/video-posters/2026/06/29/01jz8b7q4x8k2p9w3m5c6n7r8s.jpg"
    },
    "metadata": {"customer_job_id": "job_123", "campaign": "launch_week"}
  }
}"""
"""What a completed job's customer is told."""
OPEN = "SELECT count(*) FROM deliveries WHERE outcome IS NULL AND account_id = %s AND target_url = %s"
ACCEPTED = (
    "SELECT event_id, CAST(extract(epoch FROM accepted_at) AS float8) FROM events WHERE event_id = ANY (%s)"
)


def percentile(latencies: Sequence[float], share: float) -> float:
    """Returns what this share of sorted latencies stays below."""
    return latencies[int(share * (len(latencies) - 1))]


@dataclass(frozen=True, kw_only=True)
class Webhooks:
    """A running webhooks service on a database of its own."""

    client: Client
    database_url: str
    secret: str
    """What signs for ACCOUNT."""
    environment: dict[str, str] = field(repr=False)
    """For more processes of the same service."""
    meter: Meter
    """Of the first process and its database."""

    async def start_dispatcher(self, opened: AsyncExitStack) -> tuple[int, asyncio.subprocess.Process]:
        """Starts one more process that delivers. Returns the number it claims under besides."""
        environment = self.environment | {"WEBHOOKS_HEALTH_ADDRESS": "127.0.0.1:0"}
        others = await self._owners()
        process = await start(opened, "services.webhooks", "dispatcher", environment=environment)
        async with asyncio.timeout(START_SECONDS):
            while not (entered := await self._owners() - others):  # noqa: ASYNC110  nobody rings
                await asyncio.sleep(0.05)
        return entered.pop(), process

    async def rows(self, statement: str, *parameters: object) -> list[Any]:
        """Returns what a query finds."""
        async with await psycopg.AsyncConnection.connect(self.database_url, autocommit=True) as connection:
            return await (await connection.execute(statement.encode(), parameters)).fetchall()

    async def backlog(self, url: str) -> int:
        """Returns how many deliveries to an address are open."""
        [(count,)] = await self.rows(OPEN, ACCOUNT, url)
        return int(count)

    async def latencies(self, event_ids: Sequence[str], received: Iterable[Received]) -> list[float]:
        """Returns, sorted, how long each event took from the beginning of the transaction that stored it.

        That is a moment before its commit. What has not arrived counts as if it did now.
        """
        accepted = await self.rows(ACCEPTED, list(event_ids))
        arrived, now = first_arrivals(received), time.time()
        return sorted(arrived.get(event_id, now) - at for event_id, at in accepted)

    async def offer(self, url: str, *, per_second: float, seconds: float) -> list[str]:
        """Offers events to an address and returns their ids.

        As the relay of jobs does: one call at a time, with what has become due since the one before.
        """
        started = time.monotonic()
        event_ids: list[str] = []
        total = round(per_second * seconds)
        while len(event_ids) < total:
            first, due = len(event_ids), int((time.monotonic() - started) * per_second) + 1
            batch = [_event(url) for _ in range(first, min(due, total, first + EVENTS_MAX))]
            if batch:
                await self.client.accept(*batch)
                event_ids += [event.event_id for event in batch]
            await asyncio.sleep(REST_SECONDS)
        return event_ids

    async def drained(self, url: str) -> None:
        """Waits until nothing is open, or for DRAIN_SECONDS: what is still missing then shows in the figures."""
        until = time.monotonic() + DRAIN_SECONDS
        while await self.backlog(url) and time.monotonic() < until:  # noqa: ASYNC110  nobody rings
            await asyncio.sleep(0.05)

    async def _owners(self) -> set[int]:
        return {owner for (owner,) in await self.rows("SELECT owner FROM dispatchers")}


@asynccontextmanager
async def open_webhooks(stack: Stack, *, database: str, role: str) -> AsyncIterator[Webhooks]:
    """Starts a process on the stack's PostgreSQL. It serves by then."""
    status = stack.status()
    cluster = await asyncio.to_thread(stack.cluster)
    await asyncio.to_thread(cluster.ensure_database, database)
    url = cluster.url(database)
    await asyncio.to_thread(migrate, url, service="webhooks")
    internal, admin, health = (f"127.0.0.1:{free_port()}" for _ in range(3))
    environment = {
        "WEBHOOKS_DATABASE_URL": url,
        "WEBHOOKS_KEY_CHECKSUM_SECRETS_FILE": str(StackFolder(stack.folder).key_checksum_secrets),
        "WEBHOOKS_TLS_FOLDER": str(StackFolder(stack.folder).tls / "webhooks"),
        "WEBHOOKS_PUBLIC_ADDRESS": "127.0.0.1:0",
        "WEBHOOKS_INTERNAL_ADDRESS": internal,
        "WEBHOOKS_ADMIN_ADDRESS": admin,
        "WEBHOOKS_HEALTH_ADDRESS": health,
        "WEBHOOKS_METRICS_ADDRESS": "127.0.0.1:0",
        "WEBHOOKS_BILLING_TARGET": status["grpc"]["billing"]["internal"],
        "WEBHOOKS_SECRET_KEY": Fernet.generate_key().decode(),
        "WEBHOOKS_PRIVATE_TARGETS_ALLOWED": "127.0.0.0/8",
    }
    async with AsyncExitStack() as opened:
        process = await start(opened, "services.webhooks", role, environment=environment)
        await _serving(health)
        jobs, operator = stack.tls_of("jobs"), stack.tls_of("operator")
        client = await opened.enter_async_context(open_client_of(internal, admin, jobs, operator))
        secret = await client.ensure_secret(ACCOUNT)
        meter = Meter({"webhooks": [process.pid]}, url=cluster.url(), databases=[database])
        yield Webhooks(client=client, database_url=url, secret=secret, environment=environment, meter=meter)


async def _serving(address: str) -> None:
    async with asyncio.timeout(START_SECONDS):
        while not await readiness.answers(f"grpc://{address}"):  # noqa: ASYNC110  nobody rings
            await asyncio.sleep(0.05)


def _event(url: str) -> Event:
    job_id = new_id("vid")
    return Event(
        event_id=f"{job_id}-1",
        job_id=job_id,
        account_id=ACCOUNT,
        environment="live",
        contract="seedancee2",
        type="video.generation.completed",
        sequence=1,
        target_url=url,
        body=(BODY % job_id).encode(),
        occurred_at_millis=time.time_ns() // 1_000_000,
    )
