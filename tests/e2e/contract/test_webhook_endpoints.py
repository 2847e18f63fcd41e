"""Endpoints and deliveries through the edge, as a customer manages them."""

import asyncio
import json
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.customer import ENDED, SMALL, Customer, data_of, open_customer
from tests.e2e.local_stack import Stack
from tests.e2e.receiver import Receiver
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

ENDPOINTS = "/v1/webhook_endpoints"
DELIVERIES = "/v1/webhook_deliveries"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def customer(stack: Stack) -> AsyncIterator[Customer]:
    account = stack.create_account("endpoints", credits_each="100")
    async with open_customer(stack.edge, account.keys["live"]) as opened:
        yield opened


async def _register(customer: Customer, url: str, **fields: Any) -> Any:
    return data_of(await customer.send("POST", ENDPOINTS, {"url": url, **fields}))


async def _until(customer: Customer, path: str, status: str) -> Any:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (shown := await customer.get(path))["status"] != status:  # noqa: ASYNC110  polling is the way
            await asyncio.sleep(0.1)
    return shown


async def test_an_endpoint_is_told_about_jobs_that_named_no_address(
    customer: Customer, receiver: Receiver
) -> None:
    endpoint = await _register(customer, receiver.hook("registered"))

    video = await customer.create({"model": "mini", "input": {"prompt": "[simulate: fail]", **SMALL}})
    poll = await customer.until(video["id"], ENDED, seconds=PATIENCE_SECONDS)

    webhook = await receiver.first("registered", seconds=PATIENCE_SECONDS)
    assert webhook.verified(endpoint["secret"]) == poll.json
    assert webhook.body == poll.body
    listed = await customer.get(f"{DELIVERIES}?endpoint_id={endpoint['id']}&job_id={video['id']}")
    delivered = await _until(customer, f"{DELIVERIES}/{listed[0]['id']}", "delivered")
    assert [attempt["status"] for attempt in delivered["attempts"]] == [204]


async def test_the_whole_life_of_an_endpoint(customer: Customer, receiver: Receiver) -> None:
    made = await _register(customer, receiver.hook("life"), description="orders")
    path = f"{ENDPOINTS}/{made['id']}"

    changed = data_of(await customer.send("PATCH", path, {"events": ["video.generation.failed"]}))
    tested = data_of(await customer.send("POST", f"{path}/test", {}))
    rotated = data_of(await customer.send("POST", f"{path}/rotate_secret", {}))
    both = await receiver.first("life", seconds=PATIENCE_SECONDS)
    confirmed = data_of(await customer.send("POST", f"{path}/confirm_secret", {}))
    while True:
        answer = await customer.send("POST", f"{DELIVERIES}/{tested['id']}/redeliver", {})
        if answer.status != HTTPStatus.CONFLICT:  # until what the receiver answered has been written down
            break
        await asyncio.sleep(0.05)
    again = data_of(answer)
    deleted = data_of(await customer.send("DELETE", path))

    assert changed["events"] == ["video.generation.failed"]
    assert changed["description"] == "orders"
    assert rotated["secret"] != made["secret"]
    assert json.loads(both.body)["data"]["status"] == "test"
    assert both.verified(made["secret"])
    assert confirmed["rotating"] is False
    assert again["status"] in {"pending", "delivered"}
    assert deleted == {"id": made["id"], "deleted": True}
    gone = await customer.send("GET", path)
    assert gone.status == 404
    assert gone.json["error"]["code"] == "not_found"


async def test_a_task_delivers_again_what_was_given_up(customer: Customer, receiver: Receiver) -> None:
    disabled = await _register(customer, receiver.hook("later"), enabled=False)
    video = await customer.create({"model": "mini", "input": {"prompt": "[simulate: fail]", **SMALL}})
    await customer.until(video["id"], ENDED, seconds=PATIENCE_SECONDS)
    query = f"{DELIVERIES}?endpoint_id={disabled['id']}&status=dead_lettered"
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (given_up := await customer.get(query)):  # noqa: ASYNC110  polling is the way
            await asyncio.sleep(0.1)
    await customer.send("PATCH", f"{ENDPOINTS}/{disabled['id']}", {"enabled": True})

    wanted = {"start": given_up[0]["created_at"], "endpoint_id": disabled["id"]}
    task = data_of(await customer.send("POST", "/v1/webhook_redeliveries", wanted))
    done = await _until(customer, f"/v1/webhook_redeliveries/{task['id']}", "done")

    assert done["redelivered_count"] == 1
    assert (
        json.loads((await receiver.first("later", seconds=PATIENCE_SECONDS)).body)["data"]["id"]
        == video["id"]
    )


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        (
            "POST",
            ENDPOINTS,
            {"url": "http://10.0.0.1/"},
            400,
            "Field url must not point to a private address",
        ),
        ("POST", ENDPOINTS, {}, 400, "Field url is required"),
        (
            "POST",
            ENDPOINTS,
            {"url": "https://e.com", "events": ["job.lost"]},
            400,
            "Field events[0] must be one",
        ),
        ("PATCH", f"{ENDPOINTS}/whe_x", {"url": "gopher://e.com"}, 400, "Field url must be an http or https"),
        ("GET", f"{ENDPOINTS}/whe_x", None, 404, "There is no webhook endpoint whe_x"),
        ("DELETE", f"{ENDPOINTS}/whe_x", None, 404, "There is no webhook endpoint whe_x"),
        ("POST", f"{ENDPOINTS}/whe_x/test", {}, 404, "There is no webhook endpoint whe_x"),
        ("POST", f"{DELIVERIES}/vid_x.1.callback/redeliver", {}, 404, "There is no such webhook delivery"),
        ("GET", f"{DELIVERIES}?status=lost", None, 400, "Field status must be one of"),
        ("GET", f"{DELIVERIES}?limit=101", None, 400, "Field limit"),
        ("GET", f"{DELIVERIES}?page=2", None, 400, "Unknown query parameter"),
        ("POST", "/v1/webhook_redeliveries", {"start": "1999-01-01"}, 400, "Field start must be an ISO 8601"),
        (
            "POST",
            "/v1/webhook_redeliveries",
            {"start": "2026-01-01T00:00:00Z"},
            400,
            "Field start must be at most 30 days before",
        ),
        ("PUT", ENDPOINTS, {}, 404, ""),
    ],
)
async def test_what_cannot_be_is_refused_clearly(
    customer: Customer, method: str, path: str, body: Any, status: int, says: str
) -> None:
    answer = await customer.send(method, path, body)

    assert answer.status == status
    assert answer.json["error"]["message"].startswith(says)


async def test_a_key_of_nextapi_manages_endpoints_and_gets_errors_of_its_contract(stack: Stack) -> None:
    account = stack.answer("account", "create", "next", "--contract", "nextapi")
    async with open_customer(stack.edge, account["keys"]["live"]) as customer:
        made = await _register(customer, "https://example.com/hook")
        refusal = await customer.send("GET", f"{ENDPOINTS}/whe_x")

    assert made["events"] == ["job.queued", "job.running", "job.succeeded", "job.failed", "job.canceled"]
    assert refusal.json == {"error": {"code": "not_found", "message": "There is no webhook endpoint whe_x."}}
