"""Credits that come back after they were taken."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from reelgate.internal.ledger.v1 import hold_pb2

from services.common.errors import Reason, ServiceError
from tests.integration.billing.running import CREDIT, Billing

Act = Callable[[Billing], Awaitable[object]]
RACES = 20


async def _charged_30_of_40(billing: Billing, hold_id: str = "job_1") -> str:
    account = await billing.account(credits_live=100)
    await billing.hold(hold_id, account, 40 * CREDIT)
    await billing.capture(hold_id, 30 * CREDIT)
    return account


async def test_a_refund_gives_a_part_back_and_names_the_capture_and_the_reason(billing: Billing) -> None:
    account = await _charged_30_of_40(billing)

    hold = await billing.refund("refund_1", "job_1", 10 * CREDIT, reason="blurred")

    assert (hold.state, hold.captured_micros, hold.refunded_micros) == (
        hold_pb2.Hold.STATE_CAPTURED,
        30 * CREDIT,
        10 * CREDIT,
    )
    assert await billing.balance(account) == (80 * CREDIT, 0)
    entries = await billing.rows(
        "SELECT reason, bucket, amount_micros, balance_micros,"
        " (SELECT kind FROM transactions AS origin WHERE origin.transaction_id = refund.refers_to)"
        " FROM entries JOIN transactions AS refund USING (transaction_id)"
        " WHERE kind = 'refund' ORDER BY bucket"
    )
    assert [tuple(entry.values()) for entry in entries] == [
        ("blurred", "available", 10 * CREDIT, 80 * CREDIT, "capture"),
        ("blurred", "revenue", -10 * CREDIT, None, "capture"),
    ]


async def test_refunds_in_parts_give_back_at_most_the_charge(billing: Billing) -> None:
    account = await _charged_30_of_40(billing)
    await billing.refund("refund_1", "job_1", 10 * CREDIT)
    await billing.refund("refund_2", "job_1", 19 * CREDIT)

    with pytest.raises(ServiceError) as refused:
        await billing.refund("refund_3", "job_1", CREDIT + 1)
    whole = await billing.refund("refund_4", "job_1", CREDIT)

    assert refused.value.reason is Reason.REFUND_ABOVE_CHARGE
    assert refused.value.message == (
        "Of hold job_1, 1 captured credits are left; 1.000001 cannot be refunded."
    )
    assert whole.refunded_micros == whole.captured_micros
    assert await billing.balance(account) == (100 * CREDIT, 0)


async def test_a_refund_repeated_from_many_sides_answers_the_same_and_gives_nothing_more(
    billing: Billing,
) -> None:
    account = await _charged_30_of_40(billing)
    first = await billing.refund("refund_1", "job_1", 30 * CREDIT)

    again = await asyncio.gather(
        *(billing.refund("refund_1", "job_1", 30 * CREDIT, reason="another") for _ in range(10))
    )

    assert all(hold == first for hold in again)
    assert await billing.balance(account) == (100 * CREDIT, 0)


async def test_a_refunded_hold_answers_what_is_repeated_as_before(billing: Billing) -> None:
    await _charged_30_of_40(billing)
    refunded = await billing.refund("refund_1", "job_1", CREDIT)

    assert await billing.capture("job_1", 30 * CREDIT) == refunded
    with pytest.raises(ServiceError) as refused:
        await billing.release("job_1")
    assert refused.value.reason is Reason.HOLD_CAPTURED


async def test_what_was_refunded_can_be_spent(billing: Billing) -> None:
    account = await _charged_30_of_40(billing)
    await billing.refund("refund_1", "job_1", 30 * CREDIT)

    await billing.hold("job_2", account, 100 * CREDIT)

    assert await billing.balance(account) == (0, 100 * CREDIT)


REFUSED: list[tuple[Act, Reason]] = [
    (lambda billing: billing.refund("refund_1", "job_1", 2 * CREDIT), Reason.REFUND_MISMATCH),
    (lambda billing: billing.refund("refund_1", "job_other", CREDIT), Reason.REFUND_MISMATCH),
    (lambda billing: billing.refund("refund_1", "job_held", CREDIT), Reason.REFUND_MISMATCH),
    (lambda billing: billing.refund("refund_2", "job_unknown", 1), Reason.HOLD_NOT_FOUND),
    (lambda billing: billing.refund("refund_2", "job_held", 1), Reason.HOLD_NOT_CAPTURED),
    (lambda billing: billing.refund("refund_2", "job_confirmed", 1), Reason.HOLD_NOT_CAPTURED),
    (lambda billing: billing.refund("refund_2", "job_released", 1), Reason.HOLD_NOT_CAPTURED),
    (lambda billing: billing.refund("refund_2", "job_expired", 1), Reason.HOLD_NOT_CAPTURED),
    (lambda billing: billing.refund("refund_2", "job_free", 1), Reason.REFUND_ABOVE_CHARGE),
    (lambda billing: billing.refund("refund_2", "job_1", 29 * CREDIT + 1), Reason.REFUND_ABOVE_CHARGE),
    (lambda billing: billing.refund("refund_2", "job_1", 0), Reason.INVALID_FIELD),
    (lambda billing: billing.refund("refund_2", "job_1", -1), Reason.INVALID_FIELD),
    (lambda billing: billing.refund("refund_2", "job_1", 10**15 + 1), Reason.INVALID_FIELD),
    (lambda billing: billing.refund("refund_2", "job_1", 1, reason=""), Reason.INVALID_FIELD),
]


async def test_a_refused_refund_has_its_own_error_and_writes_nothing(billing: Billing) -> None:
    account = await _charged_30_of_40(billing)
    await _charged_30_of_40(billing, "job_other")
    await billing.refund("refund_1", "job_1", CREDIT)
    for hold_id in ("job_held", "job_confirmed", "job_released", "job_expired", "job_free"):
        await billing.hold(hold_id, account, CREDIT)
    await billing.confirm("job_confirmed")
    await billing.release("job_released")
    await billing.let_time_run_out("job_expired")
    await billing.sweep()
    await billing.capture("job_free", 0)
    before = await billing.everything()

    for position, (call, reason) in enumerate(REFUSED):
        with pytest.raises(ServiceError) as refused:
            await call(billing)
        assert refused.value.reason is reason, position

    assert await billing.everything() == before


async def test_of_two_whole_refunds_at_once_one_is_given(billing: Billing) -> None:
    account = await billing.account(credits_live=RACES)
    ids = [f"job_{number}" for number in range(RACES)]
    await asyncio.gather(*(billing.hold(hold_id, account, CREDIT) for hold_id in ids))
    await asyncio.gather(*(billing.capture(hold_id, CREDIT) for hold_id in ids))

    races = await asyncio.gather(
        *(
            asyncio.gather(
                *(billing.refund(f"refund_{side}_{hold_id}", hold_id, CREDIT) for side in (1, 2)),
                return_exceptions=True,
            )
            for hold_id in ids
        )
    )

    for race in races:
        [lost] = [answer for answer in race if isinstance(answer, ServiceError)]
        assert lost.reason is Reason.REFUND_ABOVE_CHARGE
    assert await billing.balance(account) == (RACES * CREDIT, 0)


async def test_the_same_refund_of_two_holds_at_once_goes_to_one_of_them(billing: Billing) -> None:
    accounts = [await _charged_30_of_40(billing, hold_id) for hold_id in ("job_1", "job_2")]

    answers = await asyncio.gather(
        *(billing.refund("refund_1", hold_id, CREDIT) for hold_id in ("job_1", "job_2")),
        return_exceptions=True,
    )

    [refused] = [answer for answer in answers if isinstance(answer, ServiceError)]
    assert refused.reason is Reason.REFUND_MISMATCH
    assert sorted([(await billing.balance(account))[0] for account in accounts]) == [70 * CREDIT, 71 * CREDIT]
