"""Limits of calls with the real ledger's database: over several processes, on the wire, and on customers' answers."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

import grpc
import pytest
from reelgate.admin.v1 import key_admin_service_pb2
from reelgate.billing.v1 import billing_service_pb2, billing_service_pb2_grpc

from services.common.auth.authentication import Caller
from services.common.rate_limit.client import LimitClient
from services.common.rate_limit.limiter import Limiter
from services.common.rate_limit.protocol import CallReport
from services.common.rpc.client import open_channel
from tests.integration.billing.running import NOTE, Billing
from tests.patience import PATIENCE_SECONDS


async def _limited_key(
    billing: Billing, calls_per_minute: int
) -> tuple[str, key_admin_service_pb2.CreateKeyResponse]:
    account = await billing.account()
    created = await billing.new_key(account)
    await _limit(billing, created.key.key_id, calls_per_minute)
    return account, created


async def _limit(billing: Billing, key_id: str, calls_per_minute: int) -> None:
    await billing.key_admin.SetKeyRules(
        key_admin_service_pb2.SetKeyRulesRequest(
            key_id=key_id,
            rules=key_admin_service_pb2.KeyRules(calls_per_minute=calls_per_minute),
            audit=NOTE,
        )
    )


@asynccontextmanager
async def _limiters(billing: Billing, *, count: int) -> AsyncIterator[list[Limiter]]:
    async with AsyncExitStack() as stack:
        limiters = []
        for number in range(count):
            channel = await stack.enter_async_context(open_channel(billing.running.internal_address))
            limiter = Limiter(LimitClient(channel).lease, holder=f"holder-{number}")
            await stack.enter_async_context(limiter.running())
            limiters.append(limiter)
        yield limiters


async def _slots_held(billing: Billing) -> list[Any]:
    [row] = await billing.rows("SELECT held FROM call_limits")
    return [slot for lease in row["held"] for slot in lease["slots"]]


async def test_two_processes_together_let_through_as_many_calls_as_the_key_may_make(billing: Billing) -> None:
    account, created = await _limited_key(billing, 7)
    who = Caller(
        key_id=created.key.key_id,
        account_id=account,
        environment="live",
        contract="seedancee2",
        calls_per_minute=7,
    )

    async with _limiters(billing, count=2) as limiters:
        calls = (limiters[number % 2].admit(who, may_fail_open=False) for number in range(20))
        decisions = await asyncio.gather(*calls)

    assert sum(decision.allowed for decision in decisions) == 7
    assert all(decision.is_known for decision in decisions)
    [row] = await billing.rows("SELECT cooling_counts FROM call_limits")
    assert sum(row["cooling_counts"]) == 7
    assert await _slots_held(billing) == []


def _report(key_id: str, **changes: Any) -> CallReport:
    values = {"answered_turn": 0, "used": (), "kept_count": 0, "wanted_count": 2, "takes_share": False}
    return CallReport(key_id=key_id, **cast("dict[str, Any]", {**values, **changes}))


async def test_what_was_used_is_counted_once_however_often_it_is_told(billing: Billing) -> None:
    _, created = await _limited_key(billing, 5)
    key_id = created.key.key_id
    async with open_channel(billing.running.internal_address) as channel:
        client = LimitClient(channel)
        first = await client.lease("holder-1", 1, [_report(key_id)])
        used = ((first.now_us, 1),)

        lost = await client.lease("holder-1", 2, [_report(key_id, answered_turn=1, used=used, kept_count=1)])
        again = await client.lease("holder-1", 3, [_report(key_id, answered_turn=1, used=used, kept_count=1)])
        overtaken = await client.lease("holder-1", 2, [_report(key_id, answered_turn=1, used=used)])

    assert first.leases[key_id].free_count == 5
    assert lost.leases[key_id].free_count == again.leases[key_id].free_count == 4
    assert sum(count for _, count in again.leases[key_id].slots) == 2
    assert overtaken.leases == {}


async def test_a_new_limit_holds_from_the_next_lease_on(billing: Billing) -> None:
    _, created = await _limited_key(billing, 5)
    key_id = created.key.key_id
    async with open_channel(billing.running.internal_address) as channel:
        client = LimitClient(channel)
        await client.lease("holder-1", 1, [_report(key_id, wanted_count=5)])
        await _limit(billing, key_id, 2)

        lowered = await client.lease("holder-2", 1, [_report(key_id)])
        returned = await client.lease("holder-1", 2, [_report(key_id, answered_turn=1, wanted_count=5)])

    assert (lowered.leases[key_id].calls_per_minute, lowered.leases[key_id].slots) == (2, ())
    assert sum(count for _, count in returned.leases[key_id].slots) == 2


async def test_keys_that_do_not_exist_are_not_answered_for(billing: Billing) -> None:
    _, created = await _limited_key(billing, 5)
    async with open_channel(billing.running.internal_address) as channel:
        leased = await LimitClient(channel).lease(
            "holder-1", 1, [_report("key_none"), _report(created.key.key_id)]
        )

    assert list(leased.leases) == [created.key.key_id]


async def test_customers_are_told_how_they_stand_and_refused_above_the_limit(billing: Billing) -> None:
    _, created = await _limited_key(billing, 2)
    async with grpc.aio.insecure_channel(billing.running.public_address) as channel:
        stub = billing_service_pb2_grpc.BillingServiceStub(channel)
        answers = [await _balance(stub, created.secret) for _ in range(3)]

    codes, headers = zip(*answers, strict=True)
    assert codes == ("OK", "OK", "RESOURCE_EXHAUSTED")
    assert [entry["x-ratelimit-limit"] for entry in headers] == ["2", "2", "2"]
    assert [entry["x-ratelimit-remaining"] for entry in headers] == ["1", "0", "0"]
    resets = [int(entry["x-ratelimit-reset"]) for entry in headers]
    assert all(0 < reset <= 61 for reset in resets)
    assert int(headers[2]["retry-after"]) == resets[2]
    assert headers[2]["x-api-status"] == "429"


async def _balance(stub: Any, secret: str) -> tuple[str, dict[str, Any]]:
    call = stub.GetBalance(
        billing_service_pb2.GetBalanceRequest(), metadata=(("x-api-key", secret),), timeout=PATIENCE_SECONDS
    )
    code = await call.code()
    pairs: Sequence[tuple[str, Any]] = [*await call.initial_metadata(), *await call.trailing_metadata()]
    return code.name, dict(pairs)


@pytest.mark.parametrize("counts", [(600, 1), (1, 600), (1_000, 1_000)])
async def test_many_keys_at_once_wait_for_each_other_in_one_order(
    billing: Billing, counts: tuple[int, int]
) -> None:
    keys = [(await _limited_key(billing, count))[1].key.key_id for count in counts]
    async with open_channel(billing.running.internal_address) as channel:
        client = LimitClient(channel)
        leases = [
            client.lease(f"holder-{number}", 1, [_report(key, wanted_count=1) for key in ordered])
            for number in range(10)
            for ordered in [keys if number % 2 else keys[::-1]]
        ]

        answers = await asyncio.gather(*leases)

    for key, count in zip(keys, counts, strict=True):
        granted = [sum(many for _, many in answer.leases[key].slots) for answer in answers]
        assert sum(granted) == min(count, 10)
