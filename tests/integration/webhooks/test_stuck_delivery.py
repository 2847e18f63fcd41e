"""What came of an attempt is on record, although what came of another one cannot be."""

import logging

import psycopg
import pytest

from services.webhooks.settings import WebhooksSettings
from tests.integration.webhooks.dispatching import answered, open_bench
from tests.integration.webhooks.service import Database, event

PLANT = """
CREATE FUNCTION refuse_stuck() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'planted' USING ERRCODE = 'check_violation'; END $$;
CREATE TRIGGER stuck BEFORE INSERT ON attempts FOR EACH ROW
    WHEN (new.job_id = 'stuck') EXECUTE FUNCTION refuse_stuck();
"""


async def test_attempts_are_recorded_beside_one_that_cannot_be(
    settings: WebhooksSettings, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async with await psycopg.AsyncConnection.connect(settings.database_url) as connection:
        await connection.execute(PLANT)
    jobs = [f"job_{number}" for number in range(9)]
    async with open_bench(settings) as bench:
        await bench.accept(*(event(job, account_id=f"acct_{job}") for job in ("stuck", *jobs)))
        claimed = await bench.claim()

        recorded = await bench.deliveries.record([answered(delivery, 200) for delivery in claimed])

    ended = await database.rows("SELECT job_id FROM deliveries WHERE outcome = 'delivered' ORDER BY job_id")
    assert len(claimed) == len(jobs) + 1
    assert [row["job_id"] for row in ended] == jobs
    assert [each.attempt.delivery.job_id for each in recorded.stale] == ["stuck"]
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR] == [
        "batch=record_attempts item=stuck-1 fails alone"
    ]
