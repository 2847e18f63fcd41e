"""Test balances refill themselves, live ones never."""

import asyncio

import pytest
from reelgate.admin.v1 import account_service_pb2
from reelgate.admin.v1.statement_pb2 import MovementKind
from reelgate.internal.ledger.v1 import hold_pb2

from services.billing.domain import STANDING_TEST_MICROS
from services.common.errors import Reason, ServiceError
from services.common.rpc.enums import environment_value, text_of
from tests.conftest import MakeDatabase
from tests.integration.billing.books import broken_rules
from tests.integration.billing.running import CREDIT, Billing, running_billing

STANDING = STANDING_TEST_MICROS["seedancee2"]
HOLDS_AT_ONCE = 45


async def _balance(billing: Billing, account_id: str) -> tuple[int, int]:
    [row] = await billing.rows(
        "SELECT available_micros, held_micros FROM balances WHERE account_id = %s AND environment = 'test'",
        account_id,
    )
    return row["available_micros"], row["held_micros"]


async def _lines(billing: Billing, account_id: str) -> list[tuple[str, str, int, int]]:
    statement = await billing.accounts.GetStatement(
        account_service_pb2.GetStatementRequest(account_id=account_id, environment=environment_value("test"))
    )
    return [
        (
            text_of(MovementKind.DESCRIPTOR, line.kind),
            line.reference,
            line.to_available_micros,
            line.to_held_micros,
        )
        for line in statement.lines
    ]


@pytest.mark.parametrize("contract", ["seedancee2", "nextapi"])
async def test_an_empty_test_balance_pays_for_thirteen_of_the_dearest_videos(
    billing: Billing, contract: str
) -> None:
    account, standing = await billing.account(contract=contract), STANDING_TEST_MICROS[contract]
    dearest = 15 * {"seedancee2": 50 * CREDIT, "nextapi": 175_000}[contract]

    for number in range(13):
        await billing.hold(f"job_{number}", account, dearest, environment="test")

    assert await _balance(billing, account) == (standing - 13 * dearest, 13 * dearest)
    assert standing < 14 * dearest


async def test_a_refill_is_a_grant_with_an_id_and_a_reason_and_no_entry_among_what_operators_did(
    billing: Billing,
) -> None:
    account = await billing.account()
    await billing.grant(account, 30 * CREDIT, environment="test")

    await billing.hold("job_1", account, 50 * CREDIT, environment="test")

    assert await _lines(billing, account) == [
        ("grant", f"grant-{account}", 30 * CREDIT, 0),
        ("grant", f"refill_{account}_2", STANDING - 30 * CREDIT, 0),
        ("hold", "job_1", -50 * CREDIT, 50 * CREDIT),
    ]
    [refill] = await billing.rows("SELECT reason FROM transactions WHERE reference LIKE 'refill%%'")
    assert refill == {"reason": "The test balance refills itself."}
    assert [(entry.actor, entry.action) for entry in await billing.audit_entries(account)] == [
        ("tests", "credits.grant"),
        ("tests", "account.create"),
    ]


async def test_what_is_enough_is_not_refilled(billing: Billing) -> None:
    account = await billing.account()
    await billing.grant(account, 50 * CREDIT, environment="test")

    await billing.hold("job_1", account, 50 * CREDIT, environment="test")

    assert await _balance(billing, account) == (0, 50 * CREDIT)


async def test_a_hold_above_the_standing_balance_is_refused_and_refills_nothing(billing: Billing) -> None:
    account = await billing.account()

    with pytest.raises(ServiceError) as refused:
        await billing.hold("job_1", account, STANDING + 1, environment="test")

    assert refused.value.reason is Reason.CREDITS_INSUFFICIENT
    assert await _lines(billing, account) == []


async def test_a_spend_limit_refuses_in_test_too(billing: Billing) -> None:
    account = await billing.account()
    await billing.rows("UPDATE spending SET per_job_micros = 0 WHERE subject_id = %s", account)

    with pytest.raises(ServiceError) as refused:
        await billing.hold("job_1", account, CREDIT, environment="test")

    assert refused.value.reason is Reason.SPEND_LIMIT_EXCEEDED
    assert await _lines(billing, account) == []


async def test_a_live_balance_is_never_refilled(billing: Billing) -> None:
    account = await billing.account()

    with pytest.raises(ServiceError) as refused:
        await billing.hold("job_1", account, CREDIT)

    assert refused.value.reason is Reason.CREDITS_INSUFFICIENT
    assert await billing.balance(account) == (0, 0)


async def test_repeating_a_hold_that_was_refilled_for_refills_nothing_more(billing: Billing) -> None:
    account = await billing.account()
    for _ in range(2):
        await billing.hold("job_1", account, STANDING, environment="test")

    assert await _balance(billing, account) == (0, STANDING)


async def test_many_holds_at_once_refill_no_more_than_they_need(make_database: MakeDatabase) -> None:
    url, amount = make_database("billing"), 3_000 * CREDIT
    async with running_billing(url) as one, running_billing(url) as other:
        accounts = [await one.account() for _ in range(2)]

        held = await asyncio.gather(
            *(
                (one, other)[number % 2].hold(
                    f"job_{number}", accounts[number % 3 % 2], amount, environment="test"
                )
                for number in range(HOLDS_AT_ONCE)
            )
        )

        assert all(hold.state == hold_pb2.Hold.STATE_PROVISIONAL for hold in held)
        for account, count in zip(accounts, (30, 15), strict=True):
            # Three of them fit into the standing balance, and a refill comes only when the next does not.
            available, held_micros = await _balance(one, account)
            refills = [line for line in await _lines(one, account) if line[0] == "grant"]
            assert held_micros == count * amount
            assert available < STANDING
            assert len(refills) == -(-count // 3)
        assert broken_rules(url) == {}
