"""Tasks that deliver again take turns by account, however many one account starts."""

from services.common.postgres.database import open_pool
from services.webhooks.settings import WebhooksSettings
from services.webhooks.store.redeliveries import SqlRedeliveries
from tests.integration.webhooks.service import Database

GIVEN_UP = """
WITH stored AS (
    INSERT INTO events (event_id, job_id, account_id, environment, contract, type, sequence, body, occurred_at)
    SELECT account || n, account || n, account, 'live', 'seedancee2', 'video.generation.failed', 1, '{}', now()
    FROM unnest(ARRAY['acct_1', 'acct_2']) AS account, generate_series(1, 4) AS n
    RETURNING event_id, job_id, account_id
)
INSERT INTO deliveries
    (job_id, target_id, sequence, event_id, target_url, account_id, environment, outcome, ended_at)
SELECT job_id, 'callback', 1, event_id, 'https://example.com/', account_id, 'live', 'dead_lettered', now() FROM stored
"""
TASKS = """
INSERT INTO redeliveries (redelivery_id, account_id, environment, start_at, end_at)
SELECT 'whr_' || account || n, account, 'live', now() - interval '1 day', now() + interval '1 day'
FROM (VALUES ('acct_1', 20), ('acct_2', 1)) AS _ (account, count), generate_series(1, count) AS n ORDER BY 1
"""
ENDED = "SELECT account_id, examined_count FROM redeliveries WHERE examined_count > 0 ORDER BY 1"


async def test_an_account_waits_for_one_batch_of_each_other_account_only(
    settings: WebhooksSettings, database: Database
) -> None:
    await database.rows(GIVEN_UP)
    await database.rows(TASKS)
    async with open_pool(settings.database_url, name="test", connections_max=1) as pool:
        redeliveries = SqlRedeliveries(pool)
        progress = []
        for _ in range(4):
            await redeliveries.advance(deliveries_max=2)
            progress.append([tuple(row.values()) for row in await database.rows(ENDED)])
        while await redeliveries.advance(deliveries_max=2):
            pass

    assert progress == [
        [("acct_1", 2)],
        [("acct_1", 2), ("acct_2", 2)],
        [("acct_1", 4), ("acct_2", 2)],
        [("acct_1", 4), ("acct_2", 4)],
    ]
    assert await database.rows("SELECT 1 FROM redeliveries WHERE ended_at IS NULL") == []
    assert await database.rows("SELECT 1 FROM redelivery_turns") == []
