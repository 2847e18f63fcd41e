"""Deliveries as their owners see and repeat them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.webhooks.settings import WebhooksSettings
from services.webhooks.wiring import Role
from tests.integration.webhooks.api import Api, Refusal, running_api
from tests.integration.webhooks.receiver import Receiver
from tests.integration.webhooks.service import Client, Database, event, open_client


@pytest.fixture
async def api(settings: WebhooksSettings) -> AsyncIterator[Api]:
    async with running_api(settings) as running:
        yield running


@pytest.fixture
async def intake(settings: WebhooksSettings) -> AsyncIterator[Client]:
    """Events enter here, and nothing delivers them."""
    async with open_client(settings, role=Role.API) as client:
        yield client


async def _refusal(call: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await call
    return caught.value


async def _give_up_all(database: Database) -> None:
    await database.rows("UPDATE deliveries SET outcome = 'dead_lettered', ended_at = now()")
    await database.rows("DELETE FROM heads")
    await database.rows("DELETE FROM lanes")


async def _ids(api: Api, key: str, **wanted: Any) -> list[str]:
    listed = await api.call("ListWebhookDeliveries", wanted, key=key)
    return [each["job_id"] for each in listed["data"]]


async def test_deliveries_are_listed_newest_first_in_pages(api: Api, intake: Client) -> None:
    key = api.add_key()
    for number in range(5):
        await intake.accept(event(f"vid_{number}"))

    first = await api.call("ListWebhookDeliveries", {"limit": 3}, key=key)
    rest = await api.call("ListWebhookDeliveries", {"limit": 3, "after": first["next_after"]}, key=key)

    assert [each["job_id"] for each in first["data"]] == ["vid_4", "vid_3", "vid_2"]
    assert [each["job_id"] for each in rest["data"]] == ["vid_1", "vid_0"]
    assert "next_after" not in rest


async def test_a_pending_delivery_shows_where_it_goes_and_when(api: Api, intake: Client) -> None:
    key = api.add_key()
    await intake.accept(event("vid_1"))

    [shown] = (await api.call("ListWebhookDeliveries", key=key))["data"]

    assert shown == {
        "id": "vid_1.1.callback",
        "event_id": "vid_1-1",
        "event_type": "video.generation.completed",
        "job_id": "vid_1",
        "url": "https://example.com/hook",
        "status": "pending",
        "attempt_count": 0,
        "next_attempt_at": shown["next_attempt_at"],
        "created_at": shown["created_at"],
        "attempts": [],
    }


async def test_deliveries_are_found_by_endpoint_job_status_and_time(
    api: Api, intake: Client, database: Database
) -> None:
    key = api.add_key()
    endpoint = await api.endpoint(key)
    await intake.accept(event("vid_1", target_url=""), event("vid_2"))
    await database.rows(
        "UPDATE deliveries SET outcome = 'delivered', ended_at = now(), accepted_at = '2026-01-02T00:00:00Z'"
        " WHERE job_id = 'vid_1'"
    )

    assert await _ids(api, key, endpoint_id=endpoint["id"]) == ["vid_2", "vid_1"]
    assert await _ids(api, key, job_id="vid_2") == ["vid_2", "vid_2"]
    assert await _ids(api, key, status="delivered") == ["vid_1"]
    assert await _ids(api, key, status="pending", endpoint_id=endpoint["id"]) == ["vid_2"]
    assert await _ids(api, key, status="dead_lettered") == []
    assert await _ids(api, key, start="2026-01-01T00:00:00Z", end="2026-01-02T00:00:00Z") == ["vid_1"]
    assert await _ids(api, key, end="2026-01-01T23:59:59.999Z") == []


async def test_a_delivery_shows_its_attempts_and_what_the_receiver_said(
    api: Api, settings: WebhooksSettings, database: Database, receiver: Receiver
) -> None:
    key = api.add_key()
    receiver.answer_with("/busy", 503)
    async with open_client(settings) as client:
        await client.accept(event("vid_1", target_url=f"{receiver.url}/busy"))
        await database.shows("SELECT 1 FROM attempts")

    shown = (await api.call("GetWebhookDelivery", {"id": "vid_1.1.callback"}, key=key))["data"]

    assert shown["status"] == "pending"
    assert shown["attempt_count"] == 1
    [attempt] = shown["attempts"]
    assert (attempt["number"], attempt["status"]) == (1, 503)
    assert attempt["latency_ms"] >= 0
    assert attempt["response"].startswith("said said")
    assert len(attempt["response"]) == 2_048
    assert "error" not in attempt


@pytest.mark.parametrize(
    "delivery", ["vid_9.1.callback", "vid_1.2.callback", "vid_1.1.whe_x", "nonsense", "a.b.c", "."]
)
async def test_an_unknown_delivery_is_refused(api: Api, intake: Client, delivery: str) -> None:
    key = api.add_key()
    await intake.accept(event("vid_1"))

    for method in ("GetWebhookDelivery", "RedeliverWebhook"):
        refusal = await _refusal(api.call(method, {"id": delivery}, key=key))
        assert refusal.http_status == 404


async def test_a_delivery_of_somebody_else_does_not_exist(api: Api, intake: Client) -> None:
    await intake.accept(event("vid_1"))

    for key in (api.add_key("acct_2"), api.add_key(environment="test")):
        refusal = await _refusal(api.call("GetWebhookDelivery", {"id": "vid_1.1.callback"}, key=key))
        assert refusal.http_status == 404
        assert await _ids(api, key) == []


async def test_a_given_up_event_is_delivered_again_with_the_same_id_and_body(
    api: Api, settings: WebhooksSettings, database: Database, receiver: Receiver
) -> None:
    key = api.add_key()
    async with open_client(settings, role=Role.API) as client:
        await client.accept(event("vid_1", target_url=receiver.url))
    await _give_up_all(database)

    again = await api.call("RedeliverWebhook", {"id": "vid_1.1.callback"}, key=key)
    async with open_client(settings, role=Role.DISPATCHER):
        await database.shows("SELECT 1 FROM deliveries WHERE outcome = 'delivered'")

    assert again["data"]["status"] == "pending"
    assert api.notified
    [received] = receiver.received
    assert received.headers["webhook-id"] == "vid_1-1"
    assert received.body == event("vid_1").body


async def test_what_is_on_its_way_is_not_sent_twice(api: Api, intake: Client) -> None:
    key = api.add_key()
    await intake.accept(event("vid_1"))

    refusal = await _refusal(api.call("RedeliverWebhook", {"id": "vid_1.1.callback"}, key=key))

    assert refusal.http_status == 409
    assert "under way" in refusal.message


async def test_nothing_is_sent_again_to_a_disabled_endpoint(api: Api, intake: Client) -> None:
    key = api.add_key()
    endpoint = await api.endpoint(key, enabled=False)
    await intake.accept(event("vid_1", target_url=""))

    refusal = await _refusal(api.call("RedeliverWebhook", {"id": f"vid_1.1.{endpoint['id']}"}, key=key))

    assert refusal.http_status == 409
    assert "disabled or deleted" in refusal.message
    assert (await _ids(api, key, status="dead_lettered")) == ["vid_1"]


async def test_a_test_event_goes_to_one_endpoint_whatever_it_takes(
    api: Api, settings: WebhooksSettings, database: Database, receiver: Receiver
) -> None:
    key = api.add_key()
    endpoint = await api.endpoint(key, events=["video.generation.failed"])
    await api.endpoint(key)
    await database.rows("UPDATE endpoints SET url = %s", receiver.url)

    sent = (await api.call("TestWebhookEndpoint", {"id": endpoint["id"]}, key=key))["data"]
    async with open_client(settings, role=Role.DISPATCHER):
        await database.shows("SELECT 1 FROM deliveries WHERE outcome = 'delivered'")

    assert sent["endpoint_id"] == endpoint["id"]
    assert sent["event_type"] == "webhook.test"
    [received] = receiver.received
    assert received.headers["webhook-id"] == sent["event_id"]
    assert received.headers["X-Seedancee2-Event"] == "webhook.test"


async def test_a_disabled_endpoint_gets_no_test_event(api: Api) -> None:
    key = api.add_key()
    endpoint = await api.endpoint(key, enabled=False)

    refusal = await _refusal(api.call("TestWebhookEndpoint", {"id": endpoint["id"]}, key=key))

    assert refusal.http_status == 409


async def test_everything_given_up_in_a_range_goes_out_again_in_batches(
    api: Api, intake: Client, database: Database
) -> None:
    key = api.add_key()
    await intake.accept(*(event(f"vid_{number}") for number in range(7)), event("old"), event("done"))
    await intake.accept(event("other", account_id="acct_2"))
    await _give_up_all(database)
    await database.rows("UPDATE deliveries SET outcome = 'delivered' WHERE job_id = 'done'")
    await database.rows("UPDATE deliveries SET accepted_at = now() - interval '2 days' WHERE job_id = 'old'")
    [row] = await database.rows(
        "SELECT to_char(now() - interval '1 day', 'YYYY-MM-DD') || 'T00:00:00Z' AS day"
    )

    task = (await api.call("CreateWebhookRedelivery", {"start": row["day"]}, key=key))["data"]
    counts = []
    while count := await api.redeliveries.advance(deliveries_max=3):
        counts.append(count)

    done = (await api.call("GetWebhookRedelivery", {"id": task["id"]}, key=key))["data"]
    assert (task["status"], task["examined_count"]) == ("running", 0)
    assert (done["status"], done["examined_count"], done["redelivered_count"]) == ("done", 7, 7)
    assert counts == [3, 3, 1]
    assert sorted(await _ids(api, key, status="pending")) == [f"vid_{number}" for number in range(7)]
    assert await _ids(api, key, status="dead_lettered") == ["old"]
    assert await database.rows("SELECT count(*) FROM heads") == [{"count": 7}]


async def test_a_range_may_be_narrowed_to_one_endpoint(api: Api, intake: Client, database: Database) -> None:
    key = api.add_key()
    endpoint = await api.endpoint(key)
    await intake.accept(event("vid_1"))
    await _give_up_all(database)
    wanted = {"start": "2026-11-01T00:00:00Z", "end": "2026-12-01T00:00:00Z", "endpoint_id": endpoint["id"]}
    await database.rows("UPDATE deliveries SET accepted_at = '2026-11-15T00:00:00Z'")

    await api.call("CreateWebhookRedelivery", wanted, key=key)
    await api.redeliveries.advance(deliveries_max=100)

    [pending] = (await api.call("ListWebhookDeliveries", {"status": "pending"}, key=key))["data"]
    assert pending["endpoint_id"] == endpoint["id"]


@pytest.mark.parametrize(
    ("fields", "status", "says"),
    [
        ({"start": "yesterday"}, 400, "Field start must be an ISO 8601"),
        ({}, 400, "Field start is required"),
        (
            {"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z"},
            400,
            "Field start must be at most 30 days before",
        ),
        (
            {"start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"},
            400,
            "Field start must not be after",
        ),
        (
            {"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z", "endpoint_id": "whe_x"},
            404,
            "There is no webhook endpoint whe_x",
        ),
    ],
)
async def test_a_bad_range_is_refused(api: Api, fields: dict[str, Any], status: int, says: str) -> None:
    refusal = await _refusal(api.call("CreateWebhookRedelivery", fields, key=api.add_key()))

    assert refusal.http_status == status
    assert refusal.message.startswith(says)


async def test_an_unknown_redelivery_is_refused(api: Api) -> None:
    refusal = await _refusal(api.call("GetWebhookRedelivery", {"id": "whr_x"}, key=api.add_key()))

    assert refusal.http_status == 404
