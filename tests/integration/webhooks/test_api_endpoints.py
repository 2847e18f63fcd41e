"""Endpoints as their owners manage them."""

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography.fernet import Fernet

from services.webhooks.domain import ENDPOINTS_MAX
from services.webhooks.settings import WebhooksSettings
from tests.integration.webhooks.api import Api, Refusal, running_api
from tests.integration.webhooks.service import Database

JOB_EVENTS = ["video.generation.completed", "video.generation.failed"]


@pytest.fixture
async def api(settings: WebhooksSettings) -> AsyncIterator[Api]:
    async with running_api(settings) as running:
        yield running


async def _refusal(call: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await call
    return caught.value


async def test_an_endpoint_takes_all_events_of_its_contract_and_shows_its_secret_once(api: Api) -> None:
    key = api.add_key()

    made = await api.endpoint(key, description="Orders")

    secret = made.pop("secret")
    assert len(b64decode(secret.removeprefix("whsec_"))) == 32
    assert made == {
        "id": made["id"],
        "url": "https://example.com/hook",
        "events": JOB_EVENTS,
        "description": "Orders",
        "enabled": True,
        "rotating": False,
        "created_at": made["created_at"],
        "updated_at": made["created_at"],
    }
    assert made["id"].startswith("whe_")
    assert (await api.call("GetWebhookEndpoint", {"id": made["id"]}, key=key))["data"] == made
    assert (await api.call("ListWebhookEndpoints", key=key))["data"] == [made]


async def test_the_secret_rests_encrypted(api: Api, settings: WebhooksSettings, database: Database) -> None:
    made = await api.endpoint(api.add_key())

    [row] = await database.rows("SELECT sealed_secret FROM endpoints")
    sealed = bytes(row["sealed_secret"])
    assert made["secret"].encode() not in sealed
    assert Fernet(settings.secret_key.get_secret_value()).decrypt(sealed).decode() == made["secret"]


async def test_a_change_changes_what_is_sent_and_no_more(api: Api) -> None:
    key = api.add_key()
    made = await api.endpoint(key, description="Orders")

    changed = await api.call(
        "UpdateWebhookEndpoint",
        {"id": made["id"], "url": "https://example.org/other", "events": JOB_EVENTS[:1], "enabled": False},
        key=key,
    )

    assert changed["data"]["url"] == "https://example.org/other"
    assert changed["data"]["events"] == JOB_EVENTS[:1]
    assert changed["data"]["enabled"] is False
    assert changed["data"]["description"] == "Orders"
    cleared = await api.call("UpdateWebhookEndpoint", {"id": made["id"], "description": ""}, key=key)
    assert cleared["data"]["description"] == ""
    assert cleared["data"]["enabled"] is False


async def test_enabling_an_endpoint_makes_it_healthy_again(api: Api, database: Database) -> None:
    key = api.add_key()
    made = await api.endpoint(key)
    await database.rows(
        "UPDATE endpoints SET is_enabled = false, disabled_reason = 'failing', notice_due = true,"
        " failing_since = now() - interval '6 days'"
    )
    shown = await api.call("GetWebhookEndpoint", {"id": made["id"]}, key=key)

    enabled = await api.call("UpdateWebhookEndpoint", {"id": made["id"], "enabled": True}, key=key)

    assert shown["data"]["disabled_reason"] == "failing"
    assert enabled["data"]["enabled"] is True
    assert "disabled_reason" not in enabled["data"]
    [row] = await database.rows("SELECT notice_due, failing_since FROM endpoints")
    assert tuple(row.values()) == (False, None)


async def test_a_rotation_adds_a_secret_that_takes_over_when_it_is_confirmed(
    api: Api, database: Database, settings: WebhooksSettings
) -> None:
    key = api.add_key()
    made = await api.endpoint(key)
    fernet = Fernet(settings.secret_key.get_secret_value())

    async def secrets() -> list[str | None]:
        [row] = await database.rows(
            "SELECT sealed_secret, next_sealed_secret, previous_sealed_secret FROM endpoints"
        )
        return [value and fernet.decrypt(bytes(value)).decode() for value in row.values()]

    old = made["secret"]
    rotated = (await api.call("RotateWebhookSecret", {"id": made["id"]}, key=key))["data"]
    while_rotating = await secrets()
    confirmed = (await api.call("ConfirmWebhookSecret", {"id": made["id"]}, key=key))["data"]
    again = (await api.call("ConfirmWebhookSecret", {"id": made["id"]}, key=key))["data"]

    assert rotated["rotating"] is True
    assert while_rotating == [old, rotated["secret"], None]
    assert confirmed["rotating"] is False
    assert "secret" not in confirmed
    assert again == confirmed
    assert await secrets() == [rotated["secret"], None, old]
    [row] = await database.rows("SELECT previous_until - now() AS left FROM endpoints")
    assert 86_000 < row["left"].total_seconds() <= 86_400


async def test_there_is_nothing_to_confirm_without_a_rotation(api: Api) -> None:
    key = api.add_key()
    made = await api.endpoint(key)

    refusal = await _refusal(api.call("ConfirmWebhookSecret", {"id": made["id"]}, key=key))

    assert refusal.http_status == 409
    assert "Rotate it first" in refusal.message


async def test_a_deleted_endpoint_is_gone(api: Api) -> None:
    key = api.add_key()
    made = await api.endpoint(key)

    deleted = await api.call("DeleteWebhookEndpoint", {"id": made["id"]}, key=key)

    assert deleted["data"] == {"id": made["id"], "deleted": True}
    refusal = await _refusal(api.call("DeleteWebhookEndpoint", {"id": made["id"]}, key=key))
    assert refusal.http_status == 404


@pytest.mark.parametrize(
    "method",
    [
        "GetWebhookEndpoint",
        "UpdateWebhookEndpoint",
        "DeleteWebhookEndpoint",
        "TestWebhookEndpoint",
        "RotateWebhookSecret",
        "ConfirmWebhookSecret",
    ],
)
@pytest.mark.parametrize("stranger", ["acct_2 live", "acct_1 test"])
async def test_an_endpoint_of_somebody_else_does_not_exist(api: Api, method: str, stranger: str) -> None:
    made = await api.endpoint(api.add_key())
    account_id, environment = stranger.split()
    key = api.add_key(account_id, environment=environment)

    refusal = await _refusal(api.call(method, {"id": made["id"]}, key=key))

    assert refusal.http_status == 404
    assert refusal.envelope["error"]["code"] == "not_found"
    assert (await api.call("ListWebhookEndpoints", key=key))["data"] == []


async def test_the_hundred_and_first_endpoint_is_refused_however_many_are_registered_at_once(
    api: Api, database: Database
) -> None:
    key = api.add_key()
    await api.endpoint(key)
    await database.rows(
        "INSERT INTO endpoints (endpoint_id, account_id, environment, contract, url, events, sealed_secret)"
        " SELECT 'whe_' || n, account_id, environment, contract, url, events, sealed_secret"
        " FROM endpoints, generate_series(1, %s) AS n",
        ENDPOINTS_MAX - 6,
    )

    results = await asyncio.gather(*(api.endpoint(key) for _ in range(15)), return_exceptions=True)

    refused = [result for result in results if isinstance(result, Refusal)]
    assert len(refused) == 10
    assert refused[0].http_status == 409
    assert "Delete one first" in refused[0].message
    assert len((await api.call("ListWebhookEndpoints", key=key))["data"]) == ENDPOINTS_MAX
    assert await api.endpoint(api.add_key("acct_2"))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"url": "http://127.0.0.1/hook"}, "Field url must not point to a private address"),
        ({"url": "ftp://example.com"}, "Field url must be an http or https address"),
        ({"url": ""}, "Field url is required"),
        ({"url": "https://example.com", "events": ["job.queued"]}, "Field events[0] must be one of video"),
        ({"url": "https://example.com", "events": ["video.generation.failed"] * 2}, "Field events"),
        ({"url": "https://example.com", "description": "x" * 501}, "Field description"),
    ],
)
async def test_a_bad_endpoint_is_refused_and_nothing_is_kept(
    api: Api, fields: dict[str, Any], says: str
) -> None:
    key = api.add_key()

    refusal = await _refusal(api.call("CreateWebhookEndpoint", fields, key=key))

    assert refusal.http_status == 400
    assert refusal.message.startswith(says)
    assert (await api.call("ListWebhookEndpoints", key=key))["data"] == []


async def test_a_bad_change_changes_nothing(api: Api) -> None:
    key = api.add_key()
    made = await api.endpoint(key)

    refusal = await _refusal(
        api.call("UpdateWebhookEndpoint", {"id": made["id"], "url": "http://[::1]/"}, key=key)
    )

    assert refusal.http_status == 400
    shown = await api.call("GetWebhookEndpoint", {"id": made["id"]}, key=key)
    assert shown["data"]["url"] == made["url"]


async def test_an_account_of_nextapi_has_its_own_events_and_errors(api: Api) -> None:
    key = api.add_key(contract="nextapi")

    made = await api.endpoint(key, events=["job.queued", "webhook_endpoint.disabled"])
    refusal = await _refusal(api.call("GetWebhookEndpoint", {"id": "whe_none"}, key=key))

    assert made["events"] == ["job.queued", "webhook_endpoint.disabled"]
    assert refusal.envelope == {
        "error": {"code": "not_found", "message": "There is no webhook endpoint whe_none."}
    }


async def test_no_method_answers_without_a_key(api: Api) -> None:
    refusal = await _refusal(api.call("ListWebhookEndpoints", key=None))

    assert refusal.http_status == 401
    assert refusal.envelope["error"]["code"] == "invalid_api_key"
