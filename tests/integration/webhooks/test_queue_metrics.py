"""Accounts with due deliveries age while nobody serves them, and events when they outlive their retention."""

from collections.abc import AsyncIterator

import pytest

from services.common.loop import Duty
from services.common.postgres.database import Pool, open_pool
from services.common.telemetry.readings import reading
from services.webhooks.settings import WebhooksSettings
from services.webhooks.store.readings import readings
from tests.integration.jobs.test_api_queries import plans
from tests.integration.webhooks.dispatching import open_bench
from tests.integration.webhooks.receiver import Receiver
from tests.integration.webhooks.service import Database, event
from tests.metric_values import value

READINGS = readings(kept_days=30, kept_days_of={"acct_2": 90, "acct_3": 7})
FILL = """
    INSERT INTO turns (account_id, next_due_at)
    SELECT 'acct_' || n, now() + n * interval '1 s' FROM generate_series(-3000, 3000) AS n;
    INSERT INTO events (event_id, job_id, account_id, environment, contract, type, sequence, body, occurred_at)
    SELECT 'evt_' || n, 'vid_' || n, 'acct_1', 'live', 'seedancee2', 'x', 1, '', now()
    FROM generate_series(1, 6000) AS n;
"""


@pytest.fixture
async def pool(settings: WebhooksSettings) -> AsyncIterator[Pool]:
    async with open_pool(settings.database_url, name="read", connections_max=2) as opened:
        yield opened


@pytest.fixture
def duty(pool: Pool) -> Duty:
    return reading(pool, READINGS, service="webhooks")


def _oldest() -> float:
    return value("reelgate_queue_oldest_seconds", queue="deliveries")


async def test_deliveries_age_until_a_dispatcher_serves_their_account(
    settings: WebhooksSettings, receiver: Receiver, database: Database, duty: Duty
) -> None:
    receiver.answer_with("/hook", 500)
    async with open_bench(settings) as bench:
        await bench.accept(event("vid_1", target_url=receiver.url + "/hook"))
        for table, column in (("turns", "next_due_at"), ("lanes", "next_due_at"), ("heads", "due_at")):
            await database.rows(f"UPDATE {table} SET {column} = now() - interval '1 hour'")
        await duty.run_once()
        assert 3_600 <= _oldest() < 3_600 + 600
        assert value("reelgate_queue_rows", queue="deliveries") == 1

        await bench.deliver_due()
        await bench.dispatcher.claim_due()
        # It failed, and waits for its next try.
        await duty.run_once()
        assert _oldest() == 0


@pytest.mark.parametrize(("age", "behind"), [("89 days", 0), ("92 days", 2 * 86_400)])
async def test_events_are_behind_when_they_outlive_the_longest_retention(
    settings: WebhooksSettings, database: Database, duty: Duty, receiver: Receiver, age: str, behind: float
) -> None:
    async with open_bench(settings) as bench:
        await bench.accept(event("vid_1", target_url=receiver.url + "/hook"))
    await database.rows(f"UPDATE events SET accepted_at = now() - interval '{age}'")

    await duty.run_once()

    assert behind <= value("reelgate_retention_behind_seconds", table="events") < behind + 600


async def test_what_is_read_is_the_beginning_of_an_index(pool: Pool, database: Database) -> None:
    async with pool.connection() as connection:
        await connection.execute(FILL.encode())

    for each, index in zip(READINGS, ("turns_next_due_at_idx", "events_accepted_at_idx"), strict=True):
        assert await plans(pool, each.query) == ({index}, {index})
