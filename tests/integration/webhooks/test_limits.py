"""What customers can do while billing is away: read a little with keys that are known, and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import grpc
import pytest
from reelgate.admin.v1 import key_admin_service_pb2
from reelgate.webhooks.v1 import webhooks_service_pb2
from reelgate.webhooks.v1.webhooks_service_pb2_grpc import WebhooksServiceStub

from services.common.rpc.enums import value_of
from services.webhooks.settings import WebhooksSettings
from services.webhooks.wiring import open_webhooks
from tests.conftest import MakeDatabase
from tests.integration.billing.running import NOTE, Billing, running_billing
from tests.patience import PATIENCE_SECONDS

LIMIT = 2


class Customer:
    """Calls the public port with one key."""

    def __init__(self, channel: grpc.aio.Channel, secret: str) -> None:
        self._stub: Any = WebhooksServiceStub(channel)
        self._with_key: dict[str, Any] = {"metadata": (("x-api-key", secret),), "timeout": PATIENCE_SECONDS}

    async def read(self) -> str:
        request = webhooks_service_pb2.ListWebhookEndpointsRequest()
        return await _code(self._stub.ListWebhookEndpoints(request, **self._with_key))

    async def write(self) -> str:
        request = webhooks_service_pb2.CreateWebhookEndpointRequest(url="https://example.com/hook")
        return await _code(self._stub.CreateWebhookEndpoint(request, **self._with_key))

    async def until_read(self, wanted: str) -> None:
        """What was leased before an outage may still be used in it."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await self.read() != wanted:  # noqa: ASYNC110  no bell rings
                await asyncio.sleep(0.1)


async def _code(call: Any) -> str:
    code: grpc.StatusCode = await call.code()
    return code.name


async def _secret(billing: Billing, kind: str) -> str:
    created = await billing.new_key(await billing.account())
    await billing.key_admin.SetKeyRules(
        key_admin_service_pb2.SetKeyRulesRequest(
            key_id=created.key.key_id,
            rules=key_admin_service_pb2.KeyRules(
                kind=value_of(key_admin_service_pb2.KeyKind.DESCRIPTOR, kind), calls_per_minute=LIMIT
            ),
            audit=NOTE,
        )
    )
    return created.secret


@pytest.fixture
async def outage(
    settings: WebhooksSettings, make_database: MakeDatabase
) -> AsyncIterator[dict[str, Customer]]:
    """Customers of a running service, by kind of their keys, whose limits are used up. Billing has just stopped."""
    async with AsyncExitStack() as stack:
        async with running_billing(make_database("billing")) as billing:
            target = {"billing_target": billing.running.internal_address}
            running = await stack.enter_async_context(open_webhooks(settings.model_copy(update=target)))
            assert running.public_address is not None
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(running.public_address))
            customers = {
                kind: Customer(channel, await _secret(billing, kind)) for kind in ("business", "admin")
            }
            for customer in customers.values():
                assert [await customer.read() for _ in range(LIMIT + 1)] == [
                    *["OK"] * LIMIT,
                    "RESOURCE_EXHAUSTED",
                ]
        yield customers


async def test_while_billing_is_away_business_keys_read_within_their_limit_and_nothing_else_is_done(
    outage: dict[str, Customer],
) -> None:
    await outage["business"].until_read("OK")
    others = [await outage["business"].read() for _ in range(LIMIT)]
    write = await outage["business"].write()
    await outage["admin"].until_read("UNAVAILABLE")

    assert others == [*["OK"] * (LIMIT - 1), "RESOURCE_EXHAUSTED"]
    assert write == "UNAVAILABLE"
    assert await outage["admin"].write() == "UNAVAILABLE"
