"""Operators' methods and other services' are served on ports of their own, whatever is added to the protos."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import grpc
import pytest
from cryptography.fernet import Fernet
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from pydantic import SecretStr

from services.billing.settings import BillingSettings
from services.common.settings import ServiceSettings
from services.edge.settings import EdgeSettings
from services.jobs.settings import JobsSettings
from services.webhooks.settings import WebhooksSettings
from services.webhooks.wiring import open_webhooks
from tests.conftest import KEY_SECRET, MakeDatabase
from tests.integration.billing.running import running_billing
from tests.patience import PATIENCE_SECONDS

FREE = "127.0.0.1:0"
Door = tuple[str, str]
"""A service and one of its ports."""


def _methods(kind: str) -> list[str]:
    descriptors = FileDescriptorSet.FromString(EdgeSettings().descriptor.read_bytes())
    return [
        f"/{file.package}.{service.name}/{method.name}"
        for file in descriptors.file
        if file.package.startswith(f"reelgate.{kind}.")
        for service in file.service
        for method in service.method
    ]


@pytest.fixture
async def doors(make_database: MakeDatabase) -> AsyncIterator[dict[Door, str]]:
    async with AsyncExitStack() as stack:
        billing = (await stack.enter_async_context(running_billing(make_database("billing")))).running
        settings = WebhooksSettings(
            database_url=make_database("webhooks"),
            key_checksum_secrets=(SecretStr(KEY_SECRET),),
            public_address=FREE,
            internal_address=FREE,
            admin_address=FREE,
            health_address=FREE,
            plaintext_internal=True,
            billing_target=billing.internal_address,
            secret_key=SecretStr(Fernet.generate_key().decode()),
        )
        webhooks = await stack.enter_async_context(open_webhooks(settings))
        yield {
            (service, name): getattr(running, f"{name}_address")
            for service, running in {"billing": billing, "webhooks": webhooks}.items()
            for name in ("public", "internal", "admin", "health")
        }


async def _served(address: str, methods: list[str]) -> set[str]:
    """Returns which of these methods a port knows, whatever it thinks of an empty message."""
    async with grpc.aio.insecure_channel(address) as channel:
        codes = {
            method: await channel.unary_unary(method, bytes, bytes)(
                b"", wait_for_ready=True, timeout=PATIENCE_SECONDS
            ).code()
            for method in methods
        }
    return {method for method, code in codes.items() if code is not grpc.StatusCode.UNIMPLEMENTED}


async def test_no_method_of_operators_is_served_where_another_service_or_a_customer_calls(
    doors: dict[Door, str],
) -> None:
    methods = _methods("admin")

    served = {door: await _served(address, methods) for door, address in doors.items()}

    assert len(methods) > 20
    assert {door for door, found in served.items() if found} == {("billing", "admin"), ("webhooks", "admin")}
    assert "/reelgate.admin.v1.AccountService/GrantCredits" in served["billing", "admin"]


async def test_the_only_method_of_services_that_operators_may_call_shows_prices(
    doors: dict[Door, str],
) -> None:
    methods = _methods("internal")

    served = {door: await _served(address, methods) for door, address in doors.items()}

    inside = served.pop(("billing", "internal")) | served.pop(("webhooks", "internal"))
    assert inside == set(methods)
    assert served.pop(("billing", "admin")) == {"/reelgate.internal.prices.v1.PriceService/ListPrices"}
    assert not any(served.values())


@pytest.mark.parametrize("kind", [BillingSettings, JobsSettings, WebhooksSettings])
def test_without_a_setting_only_this_machine_reaches_what_is_not_public(kind: type[ServiceSettings]) -> None:
    inner = {
        name: str(field.default)
        for name, field in kind.model_fields.items()
        if name.endswith("_address") and name != "public_address"
    }

    assert {"admin_address", "health_address"} <= set(inner)
    assert {address.rpartition(":")[0] for address in inner.values()} == {"127.0.0.1"}
