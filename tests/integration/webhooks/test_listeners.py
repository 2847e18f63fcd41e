"""Webhooks are fetched from listeners: all of them, in order, signed for real; and listeners that nobody reads end."""

import asyncio
import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography.fernet import MultiFernet
from reelgate.internal.intake.v1.event_pb2 import Event

from services.common.auth.authentication import Caller, Credential
from services.common.errors import Reason, ServiceError
from services.common.postgres.database import Pool, open_pool
from services.webhooks.convert import parse_event
from services.webhooks.domain import LISTENERS_MAX, Owner
from services.webhooks.settings import WebhooksSettings
from services.webhooks.store.events import SqlEvents, Taken, store_events
from services.webhooks.store.listeners import PAGE_BYTES_MAX, EndedListeners, SqlListeners
from services.webhooks.store.retention import OldEvents
from services.webhooks.watch import ListenerWatch, ReadRequest
from services.webhooks.wiring import Role
from tests.integration.webhooks.api import Answer, Api, Refusal, running_api
from tests.integration.webhooks.receiver import Receiver, until
from tests.integration.webhooks.service import Database, event, open_client

OWNER = Owner(account_id="acct_1", environment="live", contract="seedancee2")
WAITING = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
PAST = "UPDATE listeners SET ends_at = now() - interval '1 second'"


@pytest.fixture
async def api(settings: WebhooksSettings) -> AsyncIterator[Api]:
    async with running_api(settings) as api:
        yield api


@pytest.fixture
async def pool(settings: WebhooksSettings) -> AsyncIterator[Pool]:
    async with open_pool(settings.database_url, name="test", connections_max=4) as pool:
        yield pool


def _silent(job: str, sequence: int = 1, **changes: Any) -> Event:
    """Returns an event of a job that names no address."""
    return event(job, sequence, target_url="", **changes)


async def _accept(pool: Pool, *events: Event) -> Taken:
    return await SqlEvents(pool).accept([parse_event(each) for each in events])


async def _made(api: Api, key: str, **fields: Any) -> Answer:
    made: Answer = (await api.call("CreateWebhookListener", fields, key=key))["data"]
    return made


async def _read(api: Api, key: str, listener: Answer, **fields: Any) -> list[Answer]:
    answer = await api.call("ReadWebhookListener", {"id": listener["id"], **fields}, key=key)
    page: list[Answer] = answer["data"]
    return page


def _places(page: list[Answer]) -> list[tuple[int, str]]:
    return [(each["sequence"], each["event_id"]) for each in page]


async def test_a_listener_is_told_of_jobs_without_an_address_in_order_and_nothing_is_posted(
    api: Api, pool: Pool, database: Database
) -> None:
    key = api.add_key()
    listener = await _made(api, key)

    taken = await _accept(pool, _silent("vid_2"), _silent("vid_1"), _silent("vid_3", type="other"))
    again = await _accept(pool, _silent("vid_1"))
    page = await _read(api, key, listener)

    assert (taken.new_count, taken.told) == (2, [listener["id"]])
    assert (again.new_count, again.told) == (0, [])
    assert _places(page) == [(1, "vid_2-1"), (2, "vid_1-1")]
    assert _places(await _read(api, key, listener, after=1)) == [(2, "vid_1-1")]
    assert await database.rows("SELECT 1 FROM deliveries UNION ALL SELECT 1 FROM heads") == []


async def test_without_a_listener_of_its_account_an_event_for_nobody_is_not_stored(
    api: Api, pool: Pool, database: Database
) -> None:
    await _made(api, api.add_key("acct_2"))
    await _made(api, api.add_key("acct_1", environment="test"))

    taken = await _accept(pool, _silent("vid_1"))

    assert (taken.new_count, taken.told) == (0, [])
    assert await database.rows("SELECT 1 FROM events") == []


@pytest.mark.parametrize(
    ("contract", "type_", "header"),
    [
        ("seedancee2", "video.generation.failed", "X-Seedancee2-Signature"),
        ("nextapi", "job.running", "X-NextAPI-Signature"),
    ],
)
async def test_what_is_read_carries_the_signatures_that_would_be_posted(
    api: Api, pool: Pool, contract: str, type_: str, header: str
) -> None:
    key = api.add_key(contract=contract)
    listener = await _made(api, key)

    await _accept(pool, _silent("vid_1", contract=contract, type=type_))
    [read] = await _read(api, key, listener)

    headers = {each["name"]: each["value"] for each in read["headers"]}
    body, sent_at, secret = read["body"].encode(), headers["webhook-timestamp"], listener["secret"]
    plain = hmac.new(secret.encode(), f"{sent_at}.".encode() + body, hashlib.sha256).hexdigest()
    signed = f"vid_1-1.{sent_at}.".encode() + body
    standard = hmac.digest(b64decode(secret.removeprefix("whsec_")), signed, "sha256")
    assert body == _silent("vid_1").body
    assert headers[header] == f"t={sent_at},v1={plain}"
    assert headers["webhook-signature"] == "v1," + b64encode(standard).decode()
    assert (headers["webhook-id"], read["event_type"]) == ("vid_1-1", type_)


async def test_an_endpoint_and_two_listeners_get_the_same_event_each_as_it_asked(
    settings: WebhooksSettings, api: Api, receiver: Receiver
) -> None:
    key = api.add_key()
    every = await _made(api, key)
    failed = await _made(api, key, events=["video.generation.failed"])

    async with open_client(settings) as client:
        await client.accept(event("vid_1", target_url=f"{receiver.url}/hook"))
        await receiver.arrival(1)

    assert _places(await _read(api, key, every)) == [(1, "vid_1-1")]
    assert await _read(api, key, failed) == []
    assert receiver.event_ids == ["vid_1-1"]


async def test_no_reader_sees_a_number_before_those_that_stand_before_it(
    api: Api, pool: Pool, database: Database
) -> None:
    key = api.add_key()
    listener = await _made(api, key)

    async with pool.connection() as connection, connection.transaction():
        await store_events(connection, [parse_event(_silent("vid_first"))])
        second = asyncio.create_task(_accept(pool, _silent("vid_second")))
        await database.shows(WAITING)
        during = await _read(api, key, listener)
    await second

    assert during == []
    assert _places(await _read(api, key, listener)) == [(1, "vid_first-1"), (2, "vid_second-1")]


async def test_what_was_rolled_back_leaves_no_gap(api: Api, pool: Pool) -> None:
    key = api.add_key()
    listener = await _made(api, key)

    async with pool.connection() as connection, connection.transaction(force_rollback=True):
        await store_events(connection, [parse_event(_silent("vid_never"))])
    await _accept(pool, _silent("vid_1"))

    assert _places(await _read(api, key, listener)) == [(1, "vid_1-1")]


async def test_pages_are_as_long_as_asked_and_end_where_bodies_are_too_large(api: Api, pool: Pool) -> None:
    key = api.add_key()
    listener = await _made(api, key)
    large = b'{"note":"%s"}' % (b"x" * (PAGE_BYTES_MAX * 2 // 5))
    await _accept(pool, *(_silent(f"vid_{n}", body=large if n > 5 else b"{}") for n in range(10)))

    pages, after = [], 0
    while page := await _read(api, key, listener, after=after, limit=4):
        pages.append([each["sequence"] for each in page])
        after = pages[-1][-1]

    assert pages == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10]]
    assert [each["sequence"] for each in await _read(api, key, listener, after=6)] == [7, 8, 9]


async def test_a_call_waits_until_its_listener_is_told_however_it_learns_of_it(api: Api, pool: Pool) -> None:
    key = api.add_key()
    listener = await _made(api, key)

    for number in (1, 2):
        waiting = asyncio.create_task(_read(api, key, listener, after=number - 1, wait=30))
        await until(lambda: bool(api.watch._waits))
        assert not waiting.done()
        taken = await _accept(pool, _silent(f"vid_{number}"))
        if number == 1:
            api.watch.receive(taken.told)  # as published; the second time the process finds out by itself
        assert _places(await waiting) == [(number, f"vid_{number}-1")]


async def test_the_next_call_for_a_listener_ends_the_wait_of_the_one_before(api: Api, pool: Pool) -> None:
    key = api.add_key()
    listener = await _made(api, key)
    first = asyncio.create_task(_read(api, key, listener, wait=30))
    await until(lambda: bool(api.watch._waits))

    second = asyncio.create_task(_read(api, key, listener, wait=30))

    assert await first == []
    await _accept(pool, _silent("vid_1"))
    assert _places(await second) == [(1, "vid_1-1")]


async def test_a_process_that_stops_answers_those_who_wait(settings: WebhooksSettings) -> None:
    async with running_api(settings) as api:
        key = api.add_key()
        listener = await _made(api, key)
        waiting = asyncio.create_task(_read(api, key, listener, wait=30))
        await until(lambda: bool(api.watch._waits))
        api.watch.release()

        assert await waiting == []
        assert await _read(api, key, listener, wait=30) == []


async def test_a_key_that_stops_working_ends_the_wait_and_reads_nothing(
    settings: WebhooksSettings, pool: Pool
) -> None:
    listeners = SqlListeners(pool, MultiFernet(settings.sealing_keys))
    await listeners.add("whl_1", owner=OWNER, events=["video.generation.completed"], secret="s")
    found: list[Caller | None] = [
        Caller(key_id="key_1", account_id="acct_1", environment="live", contract="seedancee2")
    ]

    async def find(_key: str) -> Caller | None:
        return found[0]

    watch = ListenerWatch(listeners)
    wanted = ReadRequest(listener_id="whl_1", owner=OWNER, after=0, limit=1, credential=Credential("k", find))
    waiting = asyncio.create_task(watch.read(wanted, seconds=30))
    await until(lambda: bool(watch._waits))
    found[0] = None

    with pytest.raises(ServiceError) as refused:
        await waiting
    assert refused.value.reason is Reason.KEY_INVALID


async def test_a_listener_is_seen_read_and_ended_by_its_owner_only(api: Api) -> None:
    key = api.add_key()
    listener = await _made(api, key)
    for other in (api.add_key("acct_2"), api.add_key("acct_1", environment="test")):
        assert (await api.call("ListWebhookListeners", key=other))["data"] == []
        for method in ("ReadWebhookListener", "DeleteWebhookListener"):
            with pytest.raises(Refusal) as refused:
                await api.call(method, {"id": listener["id"]}, key=other)
            assert refused.value.http_status == 404

    [seen] = (await api.call("ListWebhookListeners", key=key))["data"]
    deleted = (await api.call("DeleteWebhookListener", {"id": listener["id"]}, key=key))["data"]

    secret = listener.pop("secret")
    assert (seen, secret[:6]) == (listener, "whsec_")
    assert deleted == {"id": listener["id"], "deleted": True}
    assert (await api.call("ListWebhookListeners", key=key))["data"] == []
    with pytest.raises(Refusal, match="Make another one"):
        await _read(api, key, listener)


async def test_an_account_has_a_few_listeners_at_a_time(api: Api, database: Database) -> None:
    key = api.add_key()
    made = [await _made(api, key) for _ in range(LISTENERS_MAX)]

    with pytest.raises(Refusal, match="10 webhook listeners already") as refused:
        await _made(api, key)
    await database.rows(f"{PAST} WHERE listener_id = %s", made[0]["id"])

    assert refused.value.http_status == 409
    assert await _made(api, key)
    assert await _made(api, api.add_key("acct_2"))


async def test_a_repeated_request_makes_one_listener_and_shows_its_secret_again(api: Api) -> None:
    key = api.add_key()
    answers = [
        (await api.call("CreateWebhookListener", key=key, idempotency_key="once"))["data"] for _ in range(2)
    ]

    assert answers[0] == answers[1]
    assert len((await api.call("ListWebhookListeners", key=key))["data"]) == 1


async def test_events_that_the_contract_does_not_have_are_refused(api: Api) -> None:
    with pytest.raises(Refusal, match=r"events\[0\].*video\.generation\.completed") as refused:
        await _made(api, api.add_key(), events=["job.succeeded"])
    assert refused.value.http_status == 400


async def test_reading_writes_nothing_and_lets_a_listener_last_longer(
    api: Api, pool: Pool, database: Database
) -> None:
    key = api.add_key()
    read, unread = await _made(api, key), await _made(api, key)
    await database.rows("UPDATE listeners SET ends_at = now() + interval '1 minute'")
    before = await database.rows("SELECT xmin::text FROM listeners")
    await _read(api, key, read)
    assert await database.rows("SELECT xmin::text FROM listeners") == before

    assert await api.watch.note_read() == 1
    await database.rows("UPDATE listeners SET ends_at = ends_at - interval '2 minutes'")
    taken = await _accept(pool, _silent("vid_1"))

    assert taken.told == [read["id"]]
    with pytest.raises(Refusal, match="has ended"):
        await _read(api, key, unread)


async def test_an_ended_listener_is_not_prolonged_and_goes_with_what_it_was_told(
    api: Api, pool: Pool, database: Database
) -> None:
    key = api.add_key()
    ended, alive = await _made(api, key), await _made(api, key)
    await _accept(pool, _silent("vid_1"), _silent("vid_2"))
    await _read(api, key, ended)
    await database.rows(f"{PAST} WHERE listener_id = %s", ended["id"])

    await api.watch.note_read()
    while await EndedListeners(pool).forget():
        pass

    left = await database.rows("SELECT listener_id, number FROM heard ORDER BY number")
    assert [tuple(row.values()) for row in left] == [(alive["id"], 1), (alive["id"], 2)]
    assert len(await database.rows("SELECT 1 FROM listeners")) == 1


async def test_an_old_event_is_forgotten_although_a_listener_may_still_read_it(
    api: Api, pool: Pool, database: Database
) -> None:
    key = api.add_key()
    listener = await _made(api, key)
    await _accept(pool, _silent("vid_old"), _silent("vid_new"))
    await database.rows("UPDATE events SET accepted_at = now() - interval '31 days' WHERE job_id = 'vid_old'")

    await OldEvents(pool, kept_days=30, kept_days_of={}).forget()

    assert _places(await _read(api, key, listener)) == [(2, "vid_new-1")]
    assert len(await database.rows("SELECT 1 FROM heard")) == 1


async def test_what_a_process_of_the_release_before_accepts_is_told_too(api: Api, database: Database) -> None:
    key = api.add_key()
    listener = await _made(api, key)

    [stored] = await database.rows(
        """SELECT accept_events(ARRAY['e_1'], ARRAY['vid_1'], ARRAY['acct_1'], ARRAY['live'], ARRAY['seedancee2'],
        ARRAY['video.generation.failed'], ARRAY[1], ARRAY[''], ARRAY['{}'::bytea], ARRAY[now()]) AS count"""
    )

    assert stored["count"] == 1
    assert _places(await _read(api, key, listener)) == [(1, "e_1")]


async def test_who_waits_at_another_process_is_woken(settings: WebhooksSettings, api: Api) -> None:
    key = api.add_key()
    listener = await _made(api, key)
    waiting = asyncio.create_task(_read(api, key, listener, wait=30))
    await until(lambda: bool(api.watch._waits))

    async with open_client(settings, role=Role.API) as client:
        await client.accept(_silent("vid_1"))

    assert _places(await waiting) == [(1, "vid_1-1")]
