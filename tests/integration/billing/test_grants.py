"""Credits that operators give."""

import asyncio

import pytest

from services.common.errors import Reason, ServiceError
from tests.integration.billing.running import CREDIT, Billing

LARGEST_GRANT = 10**15


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


async def test_a_grant_to_an_unknown_account_is_refused(billing: Billing) -> None:
    with pytest.raises(ServiceError) as refused:
        await billing.grant("acct_nobody", CREDIT)

    assert refused.value.reason is Reason.ACCOUNT_NOT_FOUND
    assert refused.value.message == "There is no account acct_nobody."


async def test_a_balance_never_grows_beyond_what_its_numbers_can_count(billing: Billing) -> None:
    account = await billing.account()
    await billing.rows("UPDATE balances SET available_micros = 10^18::numeric - 1")

    with pytest.raises(ServiceError) as refused:
        await billing.grant(account, LARGEST_GRANT)

    assert refused.value.reason is Reason.INVALID_FIELD
    assert "must not take the balance above 1000000000000 credits" in refused.value.message
    assert await billing.grant(account, 1) == 10**18
