"""Which service or operator may call which method of which running service: asked of every method there is."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.fernet import Fernet
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from pydantic import SecretStr
from reelgate.admin.v1 import (
    account_service_pb2,
    account_service_pb2_grpc,
    audit_pb2,
    audit_service_pb2,
    audit_service_pb2_grpc,
)

from services.billing.wiring import open_billing
from services.common.clock import utc_now
from services.common.rpc.client import open_channel
from services.common.tls.credentials import channel_credentials
from services.common.tls.files import TlsFolder
from services.devstack.certificates import IDENTITIES, ensure_certificates
from services.edge.settings import EdgeSettings
from services.jobs.settings import JobsSettings
from services.jobs.wiring.process import Role, open_jobs
from services.webhooks.settings import WebhooksSettings
from services.webhooks.wiring import open_webhooks
from tests.conftest import KEY_SECRET, MakeDatabase
from tests.integration.billing.running import settings_for
from tests.patience import PATIENCE_SECONDS

ADMIN = "reelgate.admin."
FREE = "127.0.0.1:0"
JOBS, BOTH, OPERATOR = {"jobs"}, {"jobs", "webhooks"}, {"operator"}
LET_IN = {
    "billing internal": {
        "reelgate.internal.keys.v1.KeyService": BOTH,
        "reelgate.internal.ledger.v1.LedgerService": JOBS,
        "reelgate.internal.limits.v1.LimitService": BOTH,
        "reelgate.internal.prices.v1.PriceService": JOBS,
    },
    "webhooks internal": {"reelgate.internal.intake.v1.IntakeService": JOBS},
}
"""Which services get an answer where other services call."""


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    ensure_certificates(tmp_path / "tls", now=utc_now())
    return tmp_path / "tls"


@pytest.fixture
async def doors(
    make_database: MakeDatabase, certificates: Path, tmp_path: Path
) -> AsyncIterator[dict[str, str]]:
    common: dict[str, Any] = {
        "public_address": FREE,
        "admin_address": FREE,
        "health_address": FREE,
        "key_checksum_secrets": (SecretStr(KEY_SECRET),),
    }
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        billing = await enter(
            open_billing(settings_for(make_database("billing"), tls_folder=certificates / "billing"))
        )
        webhooks = await enter(
            open_webhooks(
                WebhooksSettings(
                    database_url=make_database("webhooks"),
                    internal_address=FREE,
                    billing_target=billing.internal_address,
                    secret_key=SecretStr(Fernet.generate_key().decode()),
                    tls_folder=certificates / "webhooks",
                    **common,
                )
            )
        )
        jobs = await enter(
            open_jobs(
                JobsSettings(
                    database_url=make_database("jobs"),
                    billing_target=billing.internal_address,
                    webhooks_target=str(webhooks.internal_address),
                    media_store_url=str(tmp_path / "media"),
                    media_base_url="https://media.example",
                    live_provider="simulator",
                    simulator_base_url="http://simulator.example",
                    simulator_api_key=SecretStr("sim"),
                    tls_folder=certificates / "jobs",
                    **common,
                ),
                role=Role.API,
            )
        )
        yield {
            "billing internal": billing.internal_address,
            "billing admin": billing.admin_address,
            "webhooks internal": str(webhooks.internal_address),
            "webhooks admin": str(webhooks.admin_address),
            "jobs admin": jobs.admin_address,
        }


def inner_methods() -> dict[str, list[str]]:
    """Returns all methods that are not for customers, by service."""
    descriptors = FileDescriptorSet.FromString(EdgeSettings().descriptor.read_bytes())
    return {
        f"{file.package}.{service.name}": [method.name for method in service.method]
        for file in descriptors.file
        if file.package.startswith(("reelgate.admin.", "reelgate.internal."))
        for service in file.service
    }


async def test_every_method_answers_whoever_is_on_its_list_and_nobody_else(
    doors: dict[str, str], certificates: Path
) -> None:
    let_in: dict[str, dict[str, set[str]]] = {door: {} for door in doors}
    for door, address in doors.items():
        for name in IDENTITIES:
            credentials = channel_credentials(TlsFolder(certificates / name).read())
            async with grpc.aio.secure_channel(address, credentials) as channel:
                for service, methods in inner_methods().items():
                    codes = {await _code(channel, f"/{service}/{method}") for method in methods}
                    if not codes <= {"UNIMPLEMENTED", "PERMISSION_DENIED"}:
                        assert codes.isdisjoint({"UNIMPLEMENTED", "PERMISSION_DENIED"}), (door, service)
                        let_in[door].setdefault(service, set()).add(name)

    answered = {service for served in let_in.values() for service in served}
    assert answered == set(inner_methods())
    assert {door: let_in.pop(door) for door in LET_IN} == LET_IN
    assert all(names == OPERATOR for served in let_in.values() for names in served.values()), let_in
    of_services = [name for served in let_in.values() for name in served if not name.startswith(ADMIN)]
    assert of_services == ["reelgate.internal.prices.v1.PriceService"]


async def _code(channel: grpc.aio.Channel, method: str) -> str:
    call = channel.unary_unary(method, bytes, bytes)(b"", wait_for_ready=True, timeout=PATIENCE_SECONDS)
    return (await call.code()).name


async def test_what_an_operator_does_is_kept_under_the_certificate_beside_the_name_that_was_typed(
    doors: dict[str, str], certificates: Path
) -> None:
    note = audit_pb2.AuditNote(actor="spiffe://reelgate/operator/somebody-else", reason="ticket 42")
    async with open_channel(doors["billing admin"], tls=TlsFolder(certificates / "operator")) as channel:
        await account_service_pb2_grpc.AccountServiceStub(channel).CreateAccount(
            account_service_pb2.CreateAccountRequest(name="Acme", contract="nextapi", audit=note)
        )
        listed = await audit_service_pb2_grpc.AuditServiceStub(channel).ListAuditEntries(
            audit_service_pb2.ListAuditEntriesRequest()
        )

    entry = next(entry for entry in listed.entries if entry.action == "account.create")
    assert entry.actor == f"{IDENTITIES['operator']} ({note.actor})"
