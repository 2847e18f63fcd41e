"""What a kill or a broken database connection leaves behind, with real processes."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from reelgate.internal.intake.v1.event_pb2 import Event

from services.common.errors import ServiceError
from services.webhooks.settings import WebhooksSettings
from services.webhooks.wiring import Role
from tests.conftest import free_port
from tests.integration.webhooks.dispatching import open_bench
from tests.integration.webhooks.processes import dispatcher_process
from tests.integration.webhooks.receiver import Receiver, until
from tests.integration.webhooks.service import Client, Database, event, open_client
from tests.patience import PATIENCE_SECONDS

DELIVERED = "SELECT 1 FROM deliveries WHERE event_id = %s AND outcome = 'delivered'"


async def test_what_a_killed_dispatcher_had_is_sent_by_another(
    settings: WebhooksSettings, receiver: Receiver, database: Database
) -> None:
    receiver.hold("/hook")
    async with dispatcher_process(settings) as victim, open_client(settings, role=Role.API) as client:
        await client.accept(event("vid_1", target_url=receiver.url + "/hook"))
        await receiver.arrival(1)
        async with open_client(settings, role=Role.DISPATCHER):
            # So long that only the end of the victim's beats can free what it had.
            await database.rows("UPDATE heads SET due_at = due_at + interval '1 day' WHERE owner IS NOT NULL")
            victim.kill()
            receiver.answer_with("/hook", 200)
            await receiver.arrival(2, seconds=PATIENCE_SECONDS)
            await database.shows(DELIVERED, "vid_1-1")

    attempts = await database.rows("SELECT number, status FROM attempts")
    assert receiver.event_ids == ["vid_1-1", "vid_1-1"]
    assert receiver.received[0].body == receiver.received[1].body
    assert attempts == [{"number": 1, "status": 200}]


async def test_a_dispatcher_told_to_stop_ends_by_itself(
    settings: WebhooksSettings, receiver: Receiver
) -> None:
    async with dispatcher_process(settings) as process:
        process.terminate()
        code = await asyncio.wait_for(process.wait(), PATIENCE_SECONDS)

    assert code == 0


async def test_broken_connections_stop_no_duty_and_consume_no_attempt(
    settings: WebhooksSettings, receiver: Receiver, database: Database
) -> None:
    receiver.hold("/slow")
    async with open_client(settings) as client:
        await client.accept(event("vid_1", target_url=receiver.url + "/slow"))
        await receiver.arrival(1)
        await database.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        receiver.released.set()
        await database.shows(DELIVERED, "vid_1-1")
        await _accept_at_last(client, event("vid_2", target_url=receiver.url + "/hook"))
        await database.shows(DELIVERED, "vid_2-1")

    attempts = await database.rows("SELECT job_id, number, status FROM attempts ORDER BY job_id")
    assert [tuple(row.values()) for row in attempts] == [("vid_1", 1, 200), ("vid_2", 1, 200)]


async def test_a_database_that_is_away_costs_no_attempt(
    settings: WebhooksSettings, receiver: Receiver, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.hold("/slow")
    async with open_client(settings) as client:
        await client.accept(
            event("vid_1", target_url=receiver.url + "/slow"),
            event("vid_2", target_url=f"http://127.0.0.1:{free_port()}/refused"),
        )
        await receiver.arrival(1)
        await database.shows("SELECT 1 FROM attempts WHERE job_id = 'vid_2'")
        async with _away(database):
            receiver.released.set()
            await until(lambda: "duty=record failures=2" in caplog.text)
        await database.shows(DELIVERED, "vid_1-1")

    attempts = await database.rows("SELECT job_id, number, status FROM attempts ORDER BY job_id")
    outcomes = await database.rows("SELECT outcome FROM deliveries ORDER BY job_id")
    assert [tuple(row.values()) for row in attempts] == [("vid_1", 1, 200), ("vid_2", 1, None)]
    assert [row["outcome"] for row in outcomes] == ["delivered", None]


@asynccontextmanager
async def _away(database: Database) -> AsyncIterator[None]:
    """Breaks every connection to the database, and lets nobody in until the block ends."""
    address = urlsplit(database.url)
    name = address.path.removeprefix("/")
    keeper = Database(address._replace(path="/postgres").geturl())
    await keeper.rows(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    try:
        await keeper.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", name)
        yield
    finally:
        await keeper.rows(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


async def _accept_at_last(client: Client, wanted: Event) -> None:
    # As the outbox of jobs does: a refusal for want of a connection is followed by another try.
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            with contextlib.suppress(ServiceError):
                await client.accept(wanted)
                return


async def test_a_name_that_is_slow_alone_consumes_an_attempt(
    settings: WebhooksSettings, database: Database
) -> None:
    async def look_up(_host: str, _port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_FAIL, "name resolution timed out")

    async with open_bench(settings, look_up=look_up) as bench:
        await bench.accept(event("vid_1", target_url="http://hooks.localhost:8080/hook"))
        await bench.deliver_due()

    [head] = await database.rows("SELECT attempt_count, postponement_count FROM heads")
    [attempt] = await database.rows("SELECT number, error FROM attempts")
    assert head == {"attempt_count": 1, "postponement_count": 0}
    assert attempt == {"number": 1, "error": "the host name does not resolve"}
