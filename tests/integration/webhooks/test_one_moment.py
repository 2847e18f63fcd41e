"""A delivery and its attempts are shown as they were at one moment, whatever is recorded between the reads."""

from typing import Any

import psycopg
import pytest

from services.common.clock import utc_now
from services.common.postgres.database import fetch_within, open_pool
from services.webhooks.domain import DeliveryKey, DeliveryStatus, Event, Owner
from services.webhooks.store import history
from services.webhooks.store.history import SqlHistory
from tests.conftest import MakeDatabase

KEY = DeliveryKey(job_id="vid_1", sequence=1, target_id="we_1")
OWNER = Owner(account_id="acct_1", environment="live", contract="nextapi")
EVENT = Event(
    event_id="evt_1",
    job_id=KEY.job_id,
    account_id=OWNER.account_id,
    environment=OWNER.environment,
    contract=OWNER.contract,
    type="job.succeeded",
    sequence=KEY.sequence,
    target_url="https://c.example/hook",
    body=b"{}",
    occurred_at=utc_now(),
)
DELIVER = """
WITH ended AS (UPDATE deliveries SET outcome = 'delivered', ended_at = now())
INSERT INTO attempts (job_id, target_id, sequence, number, started_at, latency_ms, status)
VALUES ('vid_1', 'we_1', 1, 1, now(), 5, 200)
"""


async def test_an_attempt_that_is_recorded_between_the_reads_is_not_shown_with_the_delivery_before_it(
    make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = make_database("webhooks")
    async with open_pool(url, name="test", connections_max=2) as pool:
        store = SqlHistory(pool)
        await store.send_test(EVENT, endpoint_id=KEY.target_id)

        async def read(connection: Any, query: Any, **values: Any) -> list[Any]:
            rows = await fetch_within(connection, query, **values)
            monkeypatch.undo()
            with psycopg.connect(url) as other:
                other.execute(DELIVER)
            return rows

        monkeypatch.setattr(history, "fetch_within", read)
        before = await store.get_with_attempts(KEY, owner=OWNER, attempts_max=10)
        after = await store.get_with_attempts(KEY, owner=OWNER, attempts_max=10)

    assert (before[0].status, len(before[1])) == (DeliveryStatus.PENDING, 0)
    assert (after[0].status, len(after[1])) == (DeliveryStatus.DELIVERED, 1)
