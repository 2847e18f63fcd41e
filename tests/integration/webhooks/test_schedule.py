"""When a failed delivery is tried again. Time passes by moving what is stored, which is all that decides."""

from datetime import timedelta

import pytest
from aiohttp import web

from services.webhooks.domain import RETRY_SECONDS
from services.webhooks.settings import WebhooksSettings
from tests.integration.webhooks.dispatching import open_bench
from tests.integration.webhooks.receiver import Receiver
from tests.integration.webhooks.service import Database, event, open_client
from tests.patience import PATIENCE_SECONDS

LATE_SHARE_MAX = 0.1
ENDED = "SELECT 1 FROM deliveries WHERE outcome IS NOT NULL"


async def _pass(database: Database, seconds: float) -> None:
    """Lets time pass for everything that waits, at one stroke."""
    async with database.connection() as connection, connection.transaction():
        for column, table in (
            ("due_at", "heads"),
            ("next_due_at", "lanes"),
            ("next_due_at", "turns"),
            ("started_at", "attempts"),
        ):
            statement = f"UPDATE {table} SET {column} = {column} - %s"
            await connection.execute(statement.encode(), [timedelta(seconds=seconds)])


async def test_every_attempt_is_made_within_a_tenth_of_its_time(
    settings: WebhooksSettings, receiver: Receiver, database: Database
) -> None:
    receiver.answer_with("/hook", 500)
    async with open_client(settings) as client:
        await client.accept(event("vid_1", target_url=receiver.url + "/hook"))
        for number, wait_seconds in enumerate(RETRY_SECONDS, start=1):
            await database.shows("SELECT 1 FROM attempts WHERE number = %s", number)
            # All but the last second is skipped; that one passes by itself.
            await _pass(database, wait_seconds - 1)
        await database.shows(ENDED)

    rows = await database.rows(
        """SELECT extract(epoch FROM started_at - lag(started_at) OVER (ORDER BY number)) AS waited, latency_ms
        FROM attempts ORDER BY number"""
    )
    waits = [float(row["waited"]) for row in rows[1:]]
    assert len(rows) == 6
    for waited, published in zip(waits, RETRY_SECONDS, strict=True):
        # How late the dispatcher and the one second are depends on the machine.
        assert published <= waited <= published * (1 + LATE_SHARE_MAX) + PATIENCE_SECONDS


@pytest.mark.parametrize(
    ("retry_after", "waits"),
    [("10", [60, 300]), ("600", [600, 600]), ("soon", [60, 300]), ("999999", [43_200, 43_200])],
)
async def test_retry_after_moves_the_next_attempt_and_no_other(
    settings: WebhooksSettings, receiver: Receiver, database: Database, retry_after: str, waits: list[int]
) -> None:
    async def busy(_request: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": retry_after})

    receiver.answers["/hook"] = busy
    stored = []
    async with open_bench(settings) as bench:
        await bench.accept(event("vid_1", target_url=receiver.url + "/hook"))
        for _ in waits:
            await bench.deliver_due()
            stored += await database.rows("SELECT extract(epoch FROM due_at - now()) AS seconds FROM heads")
            await database.make_due()
        for _ in range(6):
            await bench.deliver_due()
            await database.make_due()

    assert [float(row["seconds"]) for row in stored] == pytest.approx(waits, abs=5)
    assert len(receiver.received) == 6
    assert await database.rows("SELECT outcome FROM deliveries") == [{"outcome": "dead_lettered"}]
