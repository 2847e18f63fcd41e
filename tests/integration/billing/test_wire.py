"""What callers see on billing's two ports."""

import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from reelgate.admin.v1 import (
    account_pb2,
    account_service_pb2,
    account_service_pb2_grpc,
    audit_pb2,
    key_admin_service_pb2,
)
from reelgate.billing.v1 import billing_service_pb2, billing_service_pb2_grpc
from reelgate.internal.keys.v1 import key_service_pb2, key_service_pb2_grpc
from reelgate.internal.ledger.v1 import ledger_service_pb2, ledger_service_pb2_grpc

from services.common.auth.key_forms import KEY_PREFIXES, older_checksum
from services.common.errors import Reason, ServiceError
from services.common.rpc.enums import environment_value
from tests.conftest import MakeDatabase
from tests.integration.billing.running import CREDIT, NOTE, Billing, running_billing

GET_BALANCE = billing_service_pb2.GetBalanceRequest()
KEY_REFUSED = {
    "error": {
        "code": "invalid_api_key",
        "message": "API key is missing, invalid, or disabled.",
        "type": "authentication_error",
    }
}


@pytest.fixture
async def public(billing: Billing) -> AsyncIterator[grpc.aio.Channel]:
    """A bare channel to the public port, as a customer opens one."""
    async with grpc.aio.insecure_channel(billing.running.public_address) as channel:
        yield channel


@pytest.fixture
async def internal(billing: Billing) -> AsyncIterator[grpc.aio.Channel]:
    """A bare channel to the internal port, which shows refusals as they are on the wire."""
    async with grpc.aio.insecure_channel(billing.running.internal_address) as channel:
        yield channel


async def _error(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


def _trailers(error: grpc.aio.AioRpcError) -> dict[str, Any]:
    trailers: Any = error.trailing_metadata() or ()
    return dict(trailers)


def _detail(error: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo:
    status = status_pb2.Status.FromString(_trailers(error)["grpc-status-details-bin"])
    detail = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(detail)
    return detail


@pytest.mark.parametrize("contract", ["seedancee2", "nextapi"])
async def test_a_key_of_either_contract_reads_the_balance_of_its_account_and_environment(
    billing: Billing, public: grpc.aio.Channel, contract: str
) -> None:
    account = await billing.account(contract=contract)
    await billing.grant(account, 12_500_000, grant_id="live")
    await billing.grant(account, 7 * CREDIT, grant_id="test", environment="test")
    await billing.hold("job_1", account, 2 * CREDIT)
    live, test = [(await billing.new_key(account, environment)).secret for environment in ("live", "test")]
    stub = billing_service_pb2_grpc.BillingServiceStub(public)

    of_live = await stub.GetBalance(GET_BALANCE, metadata=(("authorization", f"Bearer {live}"),))
    of_test = await stub.GetBalance(GET_BALANCE, metadata=(("x-api-key", test),))

    assert (of_live.data.available, of_live.data.held) == (10.5, 2.0)
    assert (of_test.data.available, of_test.data.held) == (7.0, 0.0)


def _stranger() -> str:
    body = KEY_PREFIXES["seedancee2", "live"] + "A" * 32
    return body + older_checksum(body)


@pytest.mark.parametrize(
    "metadata",
    [(), (("x-api-key", "sk_seedancee2_live_mistyped"),), (("authorization", f"Bearer {_stranger()}"),)],
    ids=["none", "mistyped", "unknown"],
)
async def test_without_a_valid_key_the_public_port_answers_nothing(
    public: grpc.aio.Channel, metadata: tuple[tuple[str, str], ...]
) -> None:
    stub = billing_service_pb2_grpc.BillingServiceStub(public)

    error = await _error(stub.GetBalance(GET_BALANCE, metadata=metadata))

    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    assert _detail(error).reason == "KEY_INVALID"
    assert json.loads(_trailers(error)["x-api-error-bin"]) == KEY_REFUSED
    assert _trailers(error)["x-api-status"] == "401"


async def test_operators_and_other_services_are_not_served_on_the_public_port(
    billing: Billing, public: grpc.aio.Channel
) -> None:
    key = (("authorization", f"Bearer {(await billing.new_key(await billing.account())).secret}"),)
    calls: list[Any] = [
        account_service_pb2_grpc.AccountServiceStub(public).CreateAccount(
            account_service_pb2.CreateAccountRequest(name="Mallory", contract="nextapi", audit=NOTE),
            metadata=key,
        ),
        ledger_service_pb2_grpc.LedgerServiceStub(public).ReleaseHold(
            ledger_service_pb2.ReleaseHoldRequest(hold_id="job_1"), metadata=key
        ),
        key_service_pb2_grpc.KeyServiceStub(public).LookUpKey(
            key_service_pb2.LookUpKeyRequest(key_sha256=bytes(32)), metadata=key
        ),
    ]

    codes = [(await _error(call)).code() for call in calls]

    assert codes == [grpc.StatusCode.UNIMPLEMENTED] * 3


async def test_customers_are_not_served_on_the_internal_port(internal: grpc.aio.Channel) -> None:
    error = await _error(billing_service_pb2_grpc.BillingServiceStub(internal).GetBalance(GET_BALANCE))

    assert error.code() is grpc.StatusCode.UNIMPLEMENTED


GOOD_HOLD = {"hold_id": "job_1", "account_id": "acct_1", "environment": "live", "amount_micros": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hold_id": ""}, "Field hold_id is required and must not be empty."),
        ({"hold_id": "job_\0"}, "Field hold_id must not contain NUL characters."),
        ({"account_id": "a" * 65}, "Field account_id"),
        ({"environment": "prod"}, 'Field environment must be one of live, test. It was "prod".'),
        ({"amount_micros": 0}, "Field amount_micros"),
        ({"amount_micros": -1}, "It was -1."),
        ({"amount_micros": 10**15 + 1}, "It was 1000000000000001."),
    ],
)
async def test_a_bad_field_is_refused_by_name_with_what_it_was(
    billing: Billing, internal: grpc.aio.Channel, change: dict[str, Any], message: str
) -> None:
    request = ledger_service_pb2.CreateHoldRequest(**{**GOOD_HOLD, **change})

    error = await _error(ledger_service_pb2_grpc.LedgerServiceStub(internal).CreateHold(request))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert message in (error.details() or "")
    assert (_detail(error).reason, _detail(error).metadata["field"]) == ("INVALID_FIELD", next(iter(change)))
    envelope = json.loads(_trailers(error)["x-api-error-bin"])["error"]
    assert envelope == {
        "code": "invalid_request",
        "message": error.details(),
        "type": "invalid_request_error",
    }
    assert await billing.rows("SELECT * FROM holds") == []


async def test_a_refusal_of_the_ledger_arrives_with_its_facts(
    billing: Billing, internal: grpc.aio.Channel
) -> None:
    account = await billing.account(credits_live=12)
    request = ledger_service_pb2.CreateHoldRequest(
        hold_id="job_1", account_id=account, environment="live", amount_micros=50 * CREDIT
    )

    error = await _error(ledger_service_pb2_grpc.LedgerServiceStub(internal).CreateHold(request))

    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert _detail(error).reason == "CREDITS_INSUFFICIENT"
    assert dict(_detail(error).metadata) == {"needed_micros": "50000000", "available_micros": "12000000"}
    assert _trailers(error)["x-api-status"] == "402"
    assert json.loads(_trailers(error)["x-api-error-bin"]) == {
        "error": {
            "code": "insufficient_credits",
            "message": "This task needs 50 credits; 12 are available. Please top up.",
            "type": "billing_error",
        }
    }


LIMITS = account_pb2.SpendLimits()
BELOW = account_pb2.SpendLimits(per_day_micros=-1)
ABOVE = account_pb2.SpendLimits(per_month_micros=10**18 + 1)
BAD_CHANGES: list[tuple[Message, str]] = [
    (account_service_pb2.CreateAccountRequest(name="", contract="nextapi", audit=NOTE), "name"),
    (account_service_pb2.CreateAccountRequest(name="Ac\0me", contract="nextapi", audit=NOTE), "name"),
    (account_service_pb2.CreateAccountRequest(name="Acme", contract="other", audit=NOTE), "contract"),
    (account_service_pb2.CreateAccountRequest(name="Acme", contract="nextapi"), "audit"),
    (account_service_pb2.SuspendAccountRequest(account_id="acct_1"), "audit"),
    (
        account_service_pb2.ResumeAccountRequest(
            account_id="acct_1", audit=audit_pb2.AuditNote(reason="why")
        ),
        "audit.actor",
    ),
    (
        account_service_pb2.SuspendAccountRequest(account_id="acct_1", audit=audit_pb2.AuditNote(actor="me")),
        "audit.reason",
    ),
    (
        account_service_pb2.SetAccountLimitsRequest(
            account_id="acct_1", environment=environment_value("live"), audit=NOTE
        ),
        "limits",
    ),
    (
        account_service_pb2.SetAccountLimitsRequest(account_id="acct_1", limits=LIMITS, audit=NOTE),
        "environment",
    ),
    (
        account_service_pb2.SetAccountLimitsRequest(
            account_id="acct_1", environment=environment_value("live"), limits=BELOW, audit=NOTE
        ),
        "limits.per_day_micros",
    ),
    (
        account_service_pb2.SetAccountLimitsRequest(
            account_id="acct_1", environment=environment_value("live"), limits=ABOVE, audit=NOTE
        ),
        "limits.per_month_micros",
    ),
    (
        key_admin_service_pb2.SetKeyLimitsRequest(key_id="key_1", limits=BELOW, audit=NOTE),
        "limits.per_day_micros",
    ),
    (key_admin_service_pb2.SetKeyModelsRequest(key_id="key_1", models=["a", "a"], audit=NOTE), "models[1]"),
    (key_admin_service_pb2.SetKeyModelsRequest(key_id="key_1", models=[""], audit=NOTE), "models[0]"),
    (
        key_admin_service_pb2.RotateKeyRequest(key_id="key_1", overlap_seconds=-1, audit=NOTE),
        "overlap_seconds",
    ),
    (
        key_admin_service_pb2.RotateKeyRequest(key_id="key_1", overlap_seconds=2_592_001, audit=NOTE),
        "overlap_seconds",
    ),
    (key_admin_service_pb2.DisableKeyRequest(key_id="key_1"), "audit"),
]


async def test_a_change_by_an_operator_with_a_bad_field_is_refused_by_its_name(billing: Billing) -> None:
    before = await billing.everything()

    for request, field in BAD_CHANGES:
        method = type(request).__name__.removesuffix("Request")
        stub = billing.accounts if hasattr(billing.accounts, method) else billing.key_admin
        with pytest.raises(ServiceError) as refused:
            await getattr(stub, method)(request)
        assert (refused.value.reason, refused.value.metadata["field"]) == (Reason.INVALID_FIELD, field)

    assert await billing.everything() == before


async def test_both_ports_report_health(public: grpc.aio.Channel, internal: grpc.aio.Channel) -> None:
    for channel, service in (
        (public, ""),
        (public, "reelgate.billing.v1.BillingService"),
        (internal, "reelgate.internal.ledger.v1.LedgerService"),
    ):
        answer = await health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(service=service)
        )

        assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("switched_on", [True, False])
async def test_reflection_is_there_only_when_switched_on(
    make_database: MakeDatabase, switched_on: bool
) -> None:
    async with (
        running_billing(make_database("billing"), reflection=switched_on) as billing,
        grpc.aio.insecure_channel(billing.running.public_address) as channel,
    ):
        asked = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
            iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        )

        if switched_on:
            [answer] = [answer async for answer in asked]
            names = {service.name for service in answer.list_services_response.service}
            assert "reelgate.billing.v1.BillingService" in names
            assert not any(name.startswith(("reelgate.internal", "reelgate.admin")) for name in names)
        else:
            error = await _error(anext(aiter(asked)))
            assert error.code() is grpc.StatusCode.UNIMPLEMENTED
