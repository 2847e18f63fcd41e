"""What customers give as addresses is asked for byte for byte, once, and what a receiver does is told in sentences."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from PIL import Image

from tests.e2e.customer import ENDED, SMALL, VIDEOS, Customer, data_of, open_customer
from tests.e2e.local_stack import Stack
from tests.integration.common.raw_receiver import After, RawReceiver, Reply, open_raw_receiver
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

ENDPOINTS = "/v1/webhook_endpoints"
TARGET = "/%2Fa%7E/~/./b/../%41?x=+&y=%20&&z="


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def customer(stack: Stack) -> AsyncIterator[Customer]:
    account = stack.create_account("addresses", credits_each="200")
    async with open_customer(stack.edge, account.keys["live"]) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def raw() -> AsyncIterator[RawReceiver]:
    async with open_raw_receiver() as opened:
        yield opened


def _png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (640, 640), "teal").save(file, "PNG")
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(file.getvalue()) + file.getvalue()


async def _until(raw: RawReceiver, count: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(raw.requests) < count:  # noqa: ASYNC110  a receiver is told nothing but requests
            await asyncio.sleep(0.05)


async def test_references_and_callbacks(customer: Customer, raw: RawReceiver) -> None:
    raw.reply_to = lambda request: Reply(sent=_png()) if request.startswith(b"GET") else Reply()
    made = {"prompt": "waves", "image_urls": [raw.origin + TARGET + "&image"], **SMALL}
    video = await customer.create(
        {"model": "mini", "input": made, "callback_url": f"{raw.origin}{TARGET}#kept-back"}
    )
    poll = await customer.until(video["id"], ENDED, seconds=PATIENCE_SECONDS)
    await _until(raw, 2)

    assert poll.json["data"]["status"] == "completed"
    assert raw.targets == [TARGET.encode() + b"&image", TARGET.encode()]


@pytest.mark.parametrize(
    ("reply", "status", "attempt"),
    [
        (
            Reply(sent=b"HTTP/1.1 202 Fine\r\nX-Long: " + b"x" * 20_000 + b"\r\nContent-Length: 0\r\n" * 2 + b"\r\n"),
            "delivered",
            {"status": 202, "error": ""},
        ),
        (
            Reply(sent=b"", after=After.CLOSE),
            "pending",
            {"status": 0, "error": "the connection was closed without an answer"},
        ),
    ],
)  # fmt: skip
async def test_endpoints(
    customer: Customer, raw: RawReceiver, reply: Reply, status: str, attempt: dict[str, Any]
) -> None:
    raw.reply_to = lambda _request: reply
    endpoint = data_of(await customer.send("POST", ENDPOINTS, {"url": raw.origin + TARGET}))
    assert endpoint["url"] == raw.origin + TARGET
    delivery = data_of(await customer.send("POST", f"{ENDPOINTS}/{endpoint['id']}/test", {}))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (shown := await customer.get(f"/v1/webhook_deliveries/{delivery['id']}"))["attempts"]:  # noqa: ASYNC110  polling is the way
            await asyncio.sleep(0.1)
    await customer.send("DELETE", f"{ENDPOINTS}/{endpoint['id']}")

    assert shown["status"] == status
    assert [
        {name: made.get(name, type(attempt[name])()) for name in attempt} for made in shown["attempts"]
    ] == [attempt]
    assert raw.targets == [TARGET.encode()]


@pytest.mark.parametrize("rest", ["a b", "\u00e4", "a\\b", "\u0001"])
async def test_what_cannot_be_sent_is_refused_by_name(customer: Customer, rest: str) -> None:
    url = f"https://hooks.example.com/{rest}"
    video: dict[str, Any] = {"model": "mini", "input": {"prompt": "waves", **SMALL}}
    refused = {
        "callback_url": await customer.send("POST", VIDEOS, {**video, "callback_url": url}),
        "input.image_urls[0]": await customer.send(
            "POST",
            VIDEOS,
            {**video, "input": {**video["input"], "image_urls": [url]}},
        ),
        "url": await customer.send("POST", ENDPOINTS, {"url": url}),
    }

    for field, answer in refused.items():
        assert answer.status == 400, (field, answer.body)
        assert json.loads(answer.body)["error"]["message"].startswith(f"Field {field} must ")
