"""Credits that operators give and take."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from services.common.errors import Reason, ServiceError
from tests.integration.billing.running import CREDIT, Billing

LARGEST_GRANT = 10**15
Call = Callable[[Billing, str], Awaitable[object]]


async def test_a_grant_adds_credits_and_answers_what_there_is(billing: Billing) -> None:
    account = await billing.account()

    available = await billing.grant(account, 1_050_000)

    assert available == 1_050_000
    assert await billing.balance(account) == (1_050_000, 0)


async def test_a_grant_repeated_answers_the_same_and_adds_nothing(billing: Billing) -> None:
    account = await billing.account()
    first = await billing.grant(account, 100 * CREDIT, grant_id="g1")
    await billing.hold("job_1", account, CREDIT)

    again = await asyncio.gather(*(billing.grant(account, 100 * CREDIT, grant_id="g1") for _ in range(10)))

    assert set(again) == {first}
    assert await billing.balance(account) == (99 * CREDIT, CREDIT)


@pytest.mark.parametrize("difference", ["account", "environment", "amount"])
async def test_a_grant_id_is_not_used_twice_for_different_things(billing: Billing, difference: str) -> None:
    account, other = await billing.account(), await billing.account()
    await billing.grant(account, CREDIT, grant_id="g1")

    with pytest.raises(ServiceError) as refused:
        await billing.grant(
            other if difference == "account" else account,
            2 * CREDIT if difference == "amount" else CREDIT,
            grant_id="g1",
            environment="test" if difference == "environment" else "live",
        )

    assert refused.value.reason is Reason.GRANT_MISMATCH
    assert await billing.balance(account) == (CREDIT, 0)
    assert await billing.balance(other) == (0, 0)


async def test_the_same_grant_to_two_accounts_at_once_goes_to_one_of_them(billing: Billing) -> None:
    accounts = [await billing.account(), await billing.account()]

    answers = await asyncio.gather(
        *(billing.grant(account, CREDIT, grant_id="g1") for account in accounts), return_exceptions=True
    )

    [refused] = [answer for answer in answers if isinstance(answer, ServiceError)]
    assert refused.reason is Reason.GRANT_MISMATCH
    assert sorted([await billing.balance(account) for account in accounts]) == [(0, 0), (CREDIT, 0)]


async def test_a_correction_adds_or_takes_and_answers_what_there_is(billing: Billing) -> None:
    account = await billing.account(credits_live=10)

    taken = await billing.correct(account, -10 * CREDIT, correction_id="c1")
    added = await billing.correct(account, 3 * CREDIT, correction_id="c2")

    assert (taken, added) == (0, 3 * CREDIT)
    assert await billing.balance(account) == (3 * CREDIT, 0)


async def test_a_correction_repeated_answers_the_same_and_takes_nothing(billing: Billing) -> None:
    account = await billing.account(credits_live=10)
    first = await billing.correct(account, -7 * CREDIT)
    before = await billing.everything()

    again = await asyncio.gather(*(billing.correct(account, -7 * CREDIT) for _ in range(10)))

    assert set(again) == {first} == {3 * CREDIT}
    assert await billing.everything() == before


async def test_a_grant_and_a_correction_may_have_the_same_id(billing: Billing) -> None:
    account = await billing.account()
    await billing.grant(account, CREDIT, grant_id="same")

    assert await billing.correct(account, CREDIT, correction_id="same") == 2 * CREDIT


async def test_a_correction_takes_nothing_that_is_held(billing: Billing) -> None:
    account = await billing.account(credits_live=10)
    await billing.hold("job_1", account, 4 * CREDIT)
    before = await billing.everything()

    with pytest.raises(ServiceError) as refused:
        await billing.correct(account, -6 * CREDIT - 1)

    assert refused.value.reason is Reason.CREDITS_INSUFFICIENT
    assert refused.value.message == "Only 6 credits are available; 6.000001 cannot be taken."
    assert refused.value.metadata == {"available_micros": "6000000"}
    assert await billing.everything() == before


UNKNOWN_ENVIRONMENT = 9
REFUSALS: list[tuple[Call, Reason]] = [
    (lambda billing, _: billing.grant("acct_nobody", CREDIT), Reason.ACCOUNT_NOT_FOUND),
    (lambda billing, _: billing.correct("acct_nobody", -CREDIT), Reason.ACCOUNT_NOT_FOUND),
    (lambda billing, account: billing.grant(account, 2 * CREDIT, grant_id="g1"), Reason.GRANT_MISMATCH),
    (
        lambda billing, account: billing.grant(account, CREDIT, grant_id="g1", environment="test"),
        Reason.GRANT_MISMATCH,
    ),
    (
        lambda billing, account: billing.correct(account, -2, correction_id="c1"),
        Reason.CORRECTION_MISMATCH,
    ),
    (
        lambda billing, account: billing.correct(account, -1, correction_id="c1", environment="test"),
        Reason.CORRECTION_MISMATCH,
    ),
    (lambda billing, account: billing.correct(account, -CREDIT), Reason.CREDITS_INSUFFICIENT),
    (lambda billing, account: billing.correct(account, 0), Reason.INVALID_FIELD),
    (lambda billing, account: billing.grant(account, 0), Reason.INVALID_FIELD),
    (lambda billing, account: billing.grant(account, -1), Reason.INVALID_FIELD),
    (lambda billing, account: billing.grant(account, LARGEST_GRANT + 1), Reason.INVALID_FIELD),
    (lambda billing, account: billing.correct(account, LARGEST_GRANT + 1), Reason.INVALID_FIELD),
    (lambda billing, account: billing.correct(account, -LARGEST_GRANT - 1), Reason.INVALID_FIELD),
    (
        lambda billing, account: billing.grant(account, 1, environment=UNKNOWN_ENVIRONMENT),
        Reason.INVALID_FIELD,
    ),
    (lambda billing, account: billing.correct(account, 1, environment="unspecified"), Reason.INVALID_FIELD),
    (lambda billing, account: billing.grant(account, 1, grant_id="g" * 65), Reason.INVALID_FIELD),
]


async def test_a_refused_grant_or_correction_writes_nothing(billing: Billing) -> None:
    account = await billing.account()
    await billing.grant(account, CREDIT, grant_id="g1")
    await billing.correct(account, -1, correction_id="c1")
    before = await billing.everything()

    for position, (call, reason) in enumerate(REFUSALS):
        with pytest.raises(ServiceError) as refused:
            await call(billing, account)
        assert refused.value.reason is reason, position

    assert await billing.everything() == before


async def test_a_balance_never_grows_beyond_what_its_numbers_can_count(billing: Billing) -> None:
    account = await billing.account()
    await billing.rows("UPDATE balances SET available_micros = 10^18::numeric - 1")

    with pytest.raises(ServiceError) as refused:
        await billing.grant(account, LARGEST_GRANT)

    assert refused.value.reason is Reason.INVALID_FIELD
    assert "must not take the balance above 1000000000000 credits" in refused.value.message
    assert await billing.grant(account, 1) == 10**18
    with pytest.raises(ServiceError) as refused:
        await billing.correct(account, 1)
    assert refused.value.reason is Reason.INVALID_FIELD
