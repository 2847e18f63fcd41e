"""What a video would cost, asked beforehand; and a price that changes while a video is being made."""

import asyncio
import time
from typing import Any

import pytest
from reelgate.admin.v1 import audit_pb2, price_admin_service_pb2, price_admin_service_pb2_grpc
from reelgate.internal.prices.v1 import price_pb2

from services.common.rpc.client import open_channel
from tests.e2e.contract.conftest import History, requests
from tests.e2e.customer import SMALL, VIDEOS, data_of, open_customer
from tests.e2e.edge.client import assert_refused
from tests.e2e.local_stack import Stack
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

ESTIMATES = "/v1/videos/estimates"
MICROS_PER_CREDIT = 1_000_000


async def test_every_creation_of_the_history_was_estimated_right(history: History) -> None:
    before = await history.customer.get("/v1/balance")

    for name, body in requests(history.receiver).items():
        estimate = data_of(await history.customer.send("POST", ESTIMATES, body))

        assert estimate == {
            "model": body["model"],
            "resolution": body["input"].get("resolution", "720p"),
            "duration": body["input"].get("duration", 5),
            "credits": history.created[name]["credits_reserved"],
            "available": before["available"],
            "covered": True,
        }
        assert type(estimate["credits"]) is int
    assert await history.customer.get("/v1/balance") == before
    assert len(await history.customer.get(VIDEOS)) == len(history.created)


async def test_an_estimate_says_when_the_balance_does_not_cover_it(stack: Stack) -> None:
    account = stack.create_account("short of credits", credits_each="49.5")
    body = {"model": "mini", "input": {"prompt": "waves"}}
    async with open_customer(stack.edge, account.keys["live"]) as customer:
        estimate = data_of(await customer.send("POST", ESTIMATES, body))
        creation = await customer.send("POST", VIDEOS, body)

    shown = {name: estimate[name] for name in ("credits", "available", "covered")}
    assert shown == {"credits": 50, "available": 49.5, "covered": False}
    assert creation.status == 402


@pytest.mark.parametrize(
    ("body", "status", "code", "message"),
    [
        (
            {"model": "ultra", "input": {"prompt": "waves"}},
            404,
            "model_not_found",
            'There is no model "ultra". Use one of: pro, fast, mini.',
        ),
        (
            {"model": "mini", "input": {"prompt": "waves", "resolution": "1080p"}},
            400,
            "invalid_request",
            'Field input.resolution must be one of 480p, 720p for model mini. It was "1080p".',
        ),
        (
            {"model": "mini", "input": {}},
            400,
            "invalid_request",
            "Field input.prompt is required and must not be empty.",
        ),
    ],
)
async def test_what_cannot_be_created_cannot_be_estimated(
    history: History, body: dict[str, Any], status: int, code: str, message: str
) -> None:
    for path in (ESTIMATES, VIDEOS):
        assert_refused(await history.customer.send("POST", path, body), status, message, code=code)


async def test_an_estimate_needs_a_key_and_a_post(history: History) -> None:
    without_key = await history.customer.send("POST", ESTIMATES, {"model": "mini"}, headers={})
    read = await history.customer.send("GET", ESTIMATES)

    assert (without_key.status, read.status) == (401, 404)


async def test_a_new_price_soon_counts_everywhere_but_not_for_what_was_begun(
    stack: Stack,
) -> None:
    account = stack.create_account("price change")
    body = {"model": "fast", "input": {"prompt": "[simulate: slow 2]", **SMALL}}
    async with open_customer(stack.edge, account.keys["test"]) as customer:

        async def price() -> int:
            estimate = data_of(await customer.send("POST", ESTIMATES, body))
            return int(estimate["credits"])

        old_price = await price()
        begun = await customer.create(body)

        await set_price(stack, credits_per_second=1000)

        deadline = time.monotonic() + PATIENCE_SECONDS
        while await price() == old_price:
            assert time.monotonic() < deadline, "the old price still counts"
            await asyncio.sleep(0.1)
        created = await customer.create(body)
        ended = data_of(await customer.until(begun["id"], {"completed"}, seconds=PATIENCE_SECONDS))
        detail = await customer.get("/v1/models/fast")

    assert (old_price, begun["credits_reserved"], ended["credits_charged"]) == (32, 32, 32)
    assert created["credits_reserved"] == 4000
    assert detail["credits_per_second"] == {"480p": 1000, "720p": 16}


async def set_price(stack: Stack, *, credits_per_second: int) -> None:
    """Changes what the model fast costs at 480p in the test environment, where no other test asks."""
    price = price_pb2.Price(
        model="fast",
        resolution="480p",
        environment="test",
        micros_per_second=credits_per_second * MICROS_PER_CREDIT,
    )
    request = price_admin_service_pb2.SetPricesRequest(
        version="dearer",
        prices=[price],
        audit=audit_pb2.AuditNote(actor="tests", reason="a price that changes"),
    )
    async with open_channel(
        stack.status()["grpc"]["billing"]["admin"], tls=stack.tls_of("operator")
    ) as channel:
        await price_admin_service_pb2_grpc.PriceAdminServiceStub(channel).SetPrices(request)
