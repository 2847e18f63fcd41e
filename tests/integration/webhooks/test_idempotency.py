"""A registration with an idempotency key makes one endpoint, whatever happens to it on the way."""

from collections.abc import AsyncIterator

import pytest
from cryptography.fernet import Fernet

from services.webhooks.domain import ENDPOINTS_MAX
from services.webhooks.settings import WebhooksSettings
from tests.integration.webhooks.api import Answer, Api, Refusal, running_api
from tests.integration.webhooks.service import Database

WANTED = {"url": "https://example.com/hook"}


@pytest.fixture
async def api(settings: WebhooksSettings) -> AsyncIterator[Api]:
    async with running_api(settings) as running:
        yield running


async def _register(api: Api, key: str) -> Answer:
    return await api.call("CreateWebhookEndpoint", WANTED, key=key, idempotency_key="k")


async def _die_before_it_was_noted(database: Database) -> None:
    await database.rows("UPDATE idempotency SET is_finished = false, response = NULL")


async def test_registering_again_shows_the_same_endpoint_and_secret(api: Api) -> None:
    key = api.add_key()

    first, again = await _register(api, key), await _register(api, key)

    assert again == first
    assert [each["id"] for each in (await api.call("ListWebhookEndpoints", key=key))["data"]] == [
        first["data"]["id"]
    ]


async def test_a_kept_answer_shows_no_secret_to_who_reads_the_database(api: Api, database: Database) -> None:
    made = await _register(api, api.add_key())

    [row] = await database.rows("SELECT response FROM idempotency")

    assert made["data"]["secret"].encode() not in bytes(row["response"])


async def test_a_registration_that_died_finds_its_endpoint_with_the_secret_it_has(
    api: Api, database: Database, settings: WebhooksSettings
) -> None:
    key = api.add_key()
    first = await _register(api, key)
    sealed = Fernet(settings.secret_key.get_secret_value()).encrypt(b"whsec_another")
    await database.rows("UPDATE endpoints SET sealed_secret = %s", sealed)
    await _die_before_it_was_noted(database)

    again = await _register(api, key)

    assert again["data"] == {**first["data"], "secret": "whsec_another"}
    assert len(await database.rows("SELECT endpoint_id FROM endpoints")) == 1


async def test_the_last_endpoint_there_is_room_for_is_found_too(api: Api, database: Database) -> None:
    key = api.add_key()
    for _ in range(ENDPOINTS_MAX - 1):
        await api.endpoint(key)
    first = await _register(api, key)
    await _die_before_it_was_noted(database)

    again = await _register(api, key)

    assert again == first


async def test_a_redelivery_that_died_is_started_once(api: Api, database: Database) -> None:
    key = api.add_key()
    wanted = {"start": "2026-07-01T00:00:00Z", "end": "2026-07-02T00:00:00Z"}
    first = await api.call("CreateWebhookRedelivery", wanted, key=key, idempotency_key="k")
    await _die_before_it_was_noted(database)

    again = await api.call("CreateWebhookRedelivery", wanted, key=key, idempotency_key="k")

    assert again == first
    assert len(await database.rows("SELECT redelivery_id FROM redeliveries")) == 1


async def test_an_endpoint_that_is_not_there_is_missing_again(api: Api) -> None:
    key = api.add_key()
    refusals = []
    for _ in range(2):
        with pytest.raises(Refusal) as caught:
            await api.call("TestWebhookEndpoint", {"id": "whe_x"}, key=key, idempotency_key="k")
        refusals.append((caught.value.http_status, caught.value.envelope))

    assert refusals[0][0] == 404
    assert refusals[1] == refusals[0]
