"""Holds that ran out age while nobody returns their credits."""

from services.billing.store.readings import READINGS
from services.common.postgres.database import open_pool
from services.common.telemetry.readings import reading
from tests.integration.billing.running import CREDIT, Billing
from tests.integration.jobs.test_api_queries import plans
from tests.metric_values import value

FILL = """
    INSERT INTO holds (hold_id, account_id, environment, amount_micros, spent_on, state, resolved_at, expires_at)
    SELECT 'job_' || n, %s, 'live', 1, CURRENT_DATE, 'released', now(), now() - interval '1 day'
    FROM generate_series(1000, 9000) AS n
"""


async def test_a_hold_that_ran_out_ages_until_its_credits_are_back(billing: Billing) -> None:
    account = await billing.account(credits_live=100)
    await billing.hold("job_1", account, CREDIT)
    await billing.rows("UPDATE holds SET expires_at = now() - interval '1 hour'")
    async with open_pool(billing.database_url, name="read", connections_max=1) as pool:
        duty = reading(pool, READINGS, service="billing")

        await duty.run_once()
        assert 3_600 <= value("reelgate_queue_oldest_seconds", queue="holds") < 3_600 + 600

        await billing.sweep()
        await duty.run_once()
        assert value("reelgate_queue_oldest_seconds", queue="holds") == 0


async def test_holds_that_were_resolved_are_not_read(billing: Billing) -> None:
    account = await billing.account(credits_live=100)
    await billing.rows(FILL, account)
    async with open_pool(billing.database_url, name="read", connections_max=1) as pool:
        for each in READINGS:
            assert await plans(pool, each.query) == ({"holds_expires_at_idx"}, {"holds_expires_at_idx"})
