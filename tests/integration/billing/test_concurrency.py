"""What many callers at once cannot break."""

import asyncio

from reelgate.internal.ledger.v1 import hold_pb2

from services.common.errors import Reason, ServiceError
from tests.conftest import MakeDatabase
from tests.integration.billing.running import CREDIT, Billing, running_billing
from tests.patience import PATIENCE_SECONDS

HOLDS_AT_ONCE = 200
RACES = 40
BOTH_ENDS = {
    hold_pb2.Hold.STATE_CAPTURED: Reason.HOLD_CAPTURED,
    hold_pb2.Hold.STATE_RELEASED: Reason.HOLD_RELEASED,
}


async def test_of_200_holds_on_a_balance_for_37_exactly_37_succeed(billing: Billing) -> None:
    account = await billing.account(credits_live=37 * 50)

    answers = await asyncio.gather(
        *(billing.hold(f"job_{number}", account, 50 * CREDIT) for number in range(HOLDS_AT_ONCE)),
        return_exceptions=True,
    )

    refused = [answer for answer in answers if isinstance(answer, ServiceError)]
    held = [answer for answer in answers if isinstance(answer, hold_pb2.Hold)]
    assert len(held) == 37
    assert len(refused) == HOLDS_AT_ONCE - 37
    assert {error.reason for error in refused} == {Reason.CREDITS_INSUFFICIENT}
    assert await billing.balance(account) == (0, 37 * 50 * CREDIT)


async def test_two_replicas_together_do_not_overdraw(make_database: MakeDatabase) -> None:
    url = make_database("billing")
    async with running_billing(url) as one, running_billing(url) as other:
        account = await one.account(credits_live=37)

        answers = await asyncio.gather(
            *(
                (one, other)[number % 2].hold(f"job_{number}", account, CREDIT)
                for number in range(HOLDS_AT_ONCE)
            ),
            return_exceptions=True,
        )

        assert sum(isinstance(answer, hold_pb2.Hold) for answer in answers) == 37
        assert await one.balance(account) == (0, 37 * CREDIT)


async def test_capture_and_release_at_once_have_exactly_one_winner(make_database: MakeDatabase) -> None:
    url = make_database("billing")
    async with running_billing(url) as one, running_billing(url) as other:
        account = await one.account(credits_live=RACES)
        ids = [f"job_{number}" for number in range(RACES)]
        await asyncio.gather(*(one.hold(hold_id, account, CREDIT) for hold_id in ids))

        races = await asyncio.gather(
            *(
                asyncio.gather(one.capture(hold_id, CREDIT), other.release(hold_id), return_exceptions=True)
                for hold_id in ids
            )
        )

        captured_count = 0
        for race in races:
            [won] = [answer for answer in race if isinstance(answer, hold_pb2.Hold)]
            [lost] = [answer for answer in race if isinstance(answer, ServiceError)]
            assert lost.reason is BOTH_ENDS[won.state]
            captured_count += won.state == hold_pb2.Hold.STATE_CAPTURED
        assert await one.balance(account) == ((RACES - captured_count) * CREDIT, 0)


async def test_capture_and_expiry_at_once_give_the_credits_to_one_side(billing: Billing) -> None:
    account = await billing.account(credits_live=RACES)
    ids = [f"job_{number}" for number in range(RACES)]
    await asyncio.gather(*(billing.hold(hold_id, account, CREDIT) for hold_id in ids))
    await billing.rows(
        "UPDATE holds SET expires_at = clock_timestamp() + interval '1 millisecond' * 2 * substr(hold_id, 5)::int"
    )

    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(billing.sweep())
        answers = await asyncio.gather(
            *(billing.capture(hold_id, CREDIT) for hold_id in ids), return_exceptions=True
        )
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await billing.rows("SELECT hold_id FROM holds WHERE state = 'provisional'"):
            await billing.sweep()

    captured_count = sum(isinstance(answer, hold_pb2.Hold) for answer in answers)
    refused = [answer for answer in answers if isinstance(answer, ServiceError)]
    assert captured_count + len(refused) == RACES
    assert all(error.reason is Reason.HOLD_EXPIRED for error in refused)
    assert await billing.balance(account) == ((RACES - captured_count) * CREDIT, 0)


async def test_one_bad_hold_does_not_fail_those_that_travel_with_it(billing: Billing) -> None:
    account, poor = await billing.account(credits_live=100), await billing.account()
    await billing.hold("job_taken", account, CREDIT)

    good, unknown, insufficient, mismatched, *more = await asyncio.gather(
        billing.hold("job_good", account, CREDIT),
        billing.hold("job_unknown", "acct_nobody", CREDIT),
        billing.hold("job_poor", poor, CREDIT),
        billing.hold("job_taken", account, 2 * CREDIT),
        *(billing.hold(f"job_{number}", account, CREDIT) for number in range(20)),
        return_exceptions=True,
    )

    assert all(isinstance(answer, hold_pb2.Hold) for answer in (good, *more))
    refused = [answer for answer in (unknown, insufficient, mismatched) if isinstance(answer, ServiceError)]
    assert [error.reason for error in refused] == [
        Reason.ACCOUNT_NOT_FOUND,
        Reason.CREDITS_INSUFFICIENT,
        Reason.HOLD_MISMATCH,
    ]


async def test_a_hold_too_large_does_not_keep_out_smaller_ones_of_its_batch(billing: Billing) -> None:
    account = await billing.account(credits_live=10)

    answers = await asyncio.gather(
        *(
            billing.hold(f"job_{number}", account, (1000 if number % 2 else 1) * CREDIT)
            for number in range(20)
        ),
        return_exceptions=True,
    )

    assert [isinstance(answer, hold_pb2.Hold) for answer in answers] == [True, False] * 10


async def test_the_same_id_for_two_accounts_at_once_goes_to_one_of_them(make_database: MakeDatabase) -> None:
    url = make_database("billing")
    async with running_billing(url) as one, running_billing(url) as other:
        first, second = await one.account(credits_live=RACES), await other.account(credits_live=RACES)
        ids = [f"job_{number}" for number in range(RACES)]

        races = await asyncio.gather(
            *(
                asyncio.gather(
                    one.hold(hold_id, first, CREDIT),
                    other.hold(hold_id, second, CREDIT),
                    return_exceptions=True,
                )
                for hold_id in ids
            )
        )

        for race in races:
            assert sum(isinstance(answer, hold_pb2.Hold) for answer in race) == 1
            [lost] = [answer for answer in race if isinstance(answer, ServiceError)]
            assert lost.reason is Reason.HOLD_MISMATCH
        held = (await one.balance(first))[1] + (await one.balance(second))[1]
        assert held == RACES * CREDIT
