import asyncio
from typing import Any

import pytest
from cryptography.fernet import Fernet

from services.common.errors import Reason, ServiceError
from services.common.postgres.database import Pool, open_pool
from services.webhooks.convert import parse_event
from services.webhooks.domain import Event, FreeCapacity
from services.webhooks.settings import WebhooksSettings
from services.webhooks.store.deliveries import _RECORD, SqlDeliveries, _record_parameters
from services.webhooks.store.events import SqlEvents, store_events
from services.webhooks.store.membership import SqlMembership
from services.webhooks.wiring import Role
from tests.integration.webhooks.dispatching import answered
from tests.integration.webhooks.service import Database, event, open_client

WAITING = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


async def test_events_sent_again_are_stored_once(settings: WebhooksSettings, database: Database) -> None:
    batch = [event("vid_2"), event("vid_1")]
    async with open_client(settings, role=Role.API) as client:
        first = await client.accept(*batch)
        again = await client.accept(*batch, event("vid_3"))
        twice_in_one = await client.accept(event("vid_4"), event("vid_4"))

    rows = await database.rows("SELECT event_id, body FROM events ORDER BY event_id")
    heads = await database.rows("SELECT job_id, next_sequence FROM heads ORDER BY job_id")
    assert (first, again, twice_in_one) == (2, 1, 1)
    assert [row["event_id"] for row in rows] == ["vid_1-1", "vid_2-1", "vid_3-1", "vid_4-1"]
    assert rows[0]["body"] == event("vid_1").body
    assert [(row["job_id"], row["next_sequence"]) for row in heads] == [(f"vid_{n}", 1) for n in (1, 2, 3, 4)]


async def test_the_first_version_of_an_event_stays(settings: WebhooksSettings, database: Database) -> None:
    async with open_client(settings, role=Role.API) as client:
        await client.accept(event("vid_1"))
        await client.accept(event("vid_1", target_url="https://other.example/", body=b"{}"))

    [row] = await database.rows("SELECT body, target_url FROM events JOIN deliveries USING (event_id)")
    assert row == {"body": event("vid_1").body, "target_url": "https://example.com/hook"}


async def test_batches_that_cross_are_stored_once_without_a_deadlock(
    settings: WebhooksSettings, database: Database
) -> None:
    batch = [event(f"vid_{number}", sequence) for number in range(20) for sequence in (1, 2)]
    async with open_client(settings, role=Role.API) as client:
        counts = await asyncio.gather(
            *(client.accept(*(batch if turn % 2 else reversed(batch))) for turn in range(8))
        )

    [row] = await database.rows(
        "SELECT count(*) AS events, (SELECT count(*) FROM heads) AS heads FROM events"
    )
    assert sum(counts) == 40
    assert row == {"events": 40, "heads": 20}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("event_id", ""),
        ("job_id", "two words"),
        ("type", "line\nbreak"),
        ("account_id", "x" * 129),
        ("sequence", 0),
        ("target_url", "x" * 2_049),
        ("body", b""),
        ("body", b"x" * (1024 * 1024 + 1)),
        ("occurred_at_millis", -1),
    ],
)
async def test_an_unusable_event_is_refused_by_field(
    settings: WebhooksSettings, field: str, value: Any
) -> None:
    async with open_client(settings, role=Role.API) as client:
        with pytest.raises(ServiceError) as caught:
            await client.accept(event(**{"job": "vid_1", field: value}))

    assert caught.value.reason is Reason.INVALID_FIELD
    assert caught.value.metadata["field"] == field


async def test_a_refusal_of_a_batch_names_the_event(settings: WebhooksSettings) -> None:
    async with open_client(settings, role=Role.API) as client:
        with pytest.raises(ServiceError) as caught:
            await client.accept(event("vid_1"), event("vid_2", sequence=0))

    assert caught.value.metadata["event_id"] == "vid_2-0"


async def test_a_secret_is_made_and_shown_once_however_many_ask(settings: WebhooksSettings) -> None:
    async with open_client(settings, role=Role.API) as client:
        answers = await asyncio.gather(*(client.ensure_secret("acct_1") for _ in range(20)))
        later = await client.ensure_secret("acct_1")
        others = [await client.ensure_secret("acct_1", "test"), await client.ensure_secret("acct_2")]

    [secret] = [answer for answer in answers if answer]
    assert later == ""
    assert len({secret, *others}) == 3
    assert all(each.startswith("whsec_") for each in (secret, *others))


async def test_secrets_rest_encrypted(settings: WebhooksSettings, database: Database) -> None:
    async with open_client(settings, role=Role.API) as client:
        secret = await client.ensure_secret("acct_1")

    [row] = await database.rows("SELECT account_id, sealed_secret FROM account_secrets")
    [dump] = await database.rows("SELECT CAST(s AS text) AS everything FROM account_secrets AS s")
    key = settings.secret_key.get_secret_value()
    assert Fernet(key).decrypt(row["sealed_secret"]).decode() == secret
    assert secret.removeprefix("whsec_") not in row["sealed_secret"].decode() + dump["everything"]


async def test_an_event_appended_while_its_job_is_drained_is_not_lost(
    settings: WebhooksSettings, database: Database
) -> None:
    async with (
        open_pool(settings.database_url, name="test", connections_max=4) as pool,
        database.connection() as appending,
    ):
        membership = SqlMembership(pool)
        deliveries = SqlDeliveries(pool, membership)
        await _accept(pool, 1)
        [first] = (await deliveries.claim(deliveries_max=1, rooms=FreeCapacity())).deliveries
        async with appending.transaction():
            await store_events(appending, [_event(2)])
            recording = asyncio.create_task(deliveries.record([answered(first, 200)]))
            await database.shows(WAITING)

        recorded = await recording
        [second] = (await deliveries.claim(deliveries_max=1, rooms=FreeCapacity())).deliveries
        await membership.leave()

    assert recorded.due_count == 1
    assert (first.event_id, second.event_id) == ("vid_1-1", "vid_1-2")


async def test_an_event_appended_after_its_job_was_drained_begins_anew(
    settings: WebhooksSettings, database: Database
) -> None:
    async with (
        open_pool(settings.database_url, name="test", connections_max=4) as pool,
        database.connection() as draining,
    ):
        membership = SqlMembership(pool)
        deliveries = SqlDeliveries(pool, membership)
        await _accept(pool, 1)
        [first] = (await deliveries.claim(deliveries_max=1, rooms=FreeCapacity())).deliveries
        async with draining.transaction():
            await draining.execute(_RECORD.sql, _record_parameters([answered(first, 200)]))
            appending = asyncio.create_task(_accept(pool, 2))
            await database.shows(WAITING)

        await appending
        [second] = (await deliveries.claim(deliveries_max=1, rooms=FreeCapacity())).deliveries
        await membership.leave()

    assert second.event_id == "vid_1-2"
    assert second.lease_no > first.lease_no


def _event(sequence: int) -> Event:
    return parse_event(event("vid_1", sequence))


async def _accept(pool: Pool, sequence: int) -> None:
    await SqlEvents(pool).accept([_event(sequence)])
