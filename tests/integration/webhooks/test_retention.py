"""Old events are forgotten with their deliveries and attempts; never what is still to be delivered."""

import pytest

from services.common.postgres.database import open_pool
from services.webhooks.settings import WebhooksSettings
from services.webhooks.store.retention import EVENTS_MAX, OldEvents
from tests.integration.webhooks.dispatching import answered, open_bench
from tests.integration.webhooks.service import Database, event

AGE = "UPDATE events SET accepted_at = accepted_at - make_interval(days => %s) WHERE job_id = %s"
LEFT = "SELECT job_id FROM events ORDER BY job_id"


async def _deliver(
    settings: WebhooksSettings, database: Database, ages: dict[str, int], account: str
) -> None:
    async with open_bench(settings) as bench:
        await bench.accept(*(event(job, account_id=account) for job in ages))
        await bench.deliveries.record([answered(each, 200) for each in await bench.claim()])
    for job, days in ages.items():
        await database.rows(AGE, days, job)


async def _forget(settings: WebhooksSettings, **kept_days_of: int) -> None:
    async with open_pool(settings.database_url, name="test", connections_max=1) as pool:
        old = OldEvents(pool, kept_days=30, kept_days_of=kept_days_of)
        while await old.forget():
            pass


async def _left(database: Database) -> list[str]:
    return [row["job_id"] for row in await database.rows(LEFT)]


async def test_what_is_older_than_its_account_keeps_is_forgotten_whole(
    settings: WebhooksSettings, database: Database
) -> None:
    await _deliver(settings, database, {"usual_29": 29, "usual_31": 31}, "acct_1")
    await _deliver(settings, database, {"long_31": 31, "long_91": 91}, "acct_long")
    await _deliver(settings, database, {"short_6": 6, "short_8": 8}, "acct_short")

    await _forget(settings, acct_long=90, acct_short=7)

    kept = ["long_31", "short_6", "usual_29"]
    assert await _left(database) == kept
    for table in ("deliveries", "attempts"):
        rows = await database.rows(f"SELECT job_id FROM {table} ORDER BY job_id")
        assert [row["job_id"] for row in rows] == kept


async def test_what_is_not_delivered_is_kept(settings: WebhooksSettings, database: Database) -> None:
    async with open_bench(settings) as bench:
        await bench.accept(event("vid_waiting"))
    await database.rows(AGE, 90, "vid_waiting")

    await _forget(settings)

    assert await _left(database) == ["vid_waiting"]


async def test_what_a_running_redelivery_will_reach_is_kept(
    settings: WebhooksSettings, database: Database
) -> None:
    await _deliver(settings, database, {"vid_1": 90}, "acct_1")
    await database.rows("""INSERT INTO redeliveries (redelivery_id, account_id, environment, start_at, end_at)
        VALUES ('whr_1', 'acct_1', 'live', now() - interval '91 days', now() - interval '89 days')""")
    await _forget(settings)
    during = await _left(database)
    await database.rows("UPDATE redeliveries SET ended_at = now()")
    await _forget(settings)

    assert (during, await _left(database)) == (["vid_1"], [])


async def test_what_somebody_changes_is_left_without_waiting(
    settings: WebhooksSettings, database: Database
) -> None:
    await _deliver(settings, database, {"vid_1": 90, "vid_2": 90}, "acct_1")
    async with database.connection() as connection, connection.transaction():
        await connection.execute(
            "UPDATE deliveries SET outcome = NULL, ended_at = NULL WHERE job_id = 'vid_1'"
        )
        await _forget(settings)

    assert await _left(database) == ["vid_1"]


@pytest.mark.parametrize("count", [EVENTS_MAX, 20 * EVENTS_MAX])
async def test_a_batch_is_a_range_whatever_is_kept(
    settings: WebhooksSettings, database: Database, count: int
) -> None:
    await database.rows(
        """INSERT INTO events
            (event_id, job_id, account_id, environment, contract, type, sequence, body, occurred_at, accepted_at)
        SELECT 'evt_' || n, 'vid_' || n, 'acct_long', 'live', 'nextapi', 'job.failed', 1, '{}', now(),
            now() - interval '60 days' FROM generate_series(1, %s) AS n""",
        count,
    )
    async with open_pool(settings.database_url, name="test", connections_max=1) as pool:
        old = OldEvents(pool, kept_days=30, kept_days_of={"acct_long": 90})
        batches = []
        while examined := await old.forget():
            batches.append(examined)

    assert batches == [EVENTS_MAX] * (count // EVENTS_MAX)
    assert len(await _left(database)) == count
