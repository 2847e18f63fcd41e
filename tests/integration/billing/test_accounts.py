"""Accounts as operators see, suspend and resume them."""

import asyncio

import pytest
from reelgate.admin.v1 import account_pb2, account_service_pb2

from services.billing.domain import TEST_DAY_MICROS
from services.common.errors import Reason, ServiceError
from services.common.rpc.enums import environment_value
from tests.integration.billing.running import CREDIT, NOTE, Billing


async def _get(billing: Billing, account_id: str) -> account_pb2.Account:
    answer = await billing.accounts.GetAccount(account_service_pb2.GetAccountRequest(account_id=account_id))
    return answer.account


async def _suspend(billing: Billing, account_id: str) -> account_pb2.Account:
    request = account_service_pb2.SuspendAccountRequest(account_id=account_id, audit=NOTE)
    return (await billing.accounts.SuspendAccount(request)).account


async def _resume(billing: Billing, account_id: str) -> account_pb2.Account:
    request = account_service_pb2.ResumeAccountRequest(account_id=account_id, audit=NOTE)
    return (await billing.accounts.ResumeAccount(request)).account


async def _list(billing: Billing, *, page_size: int = 0, before: str = "") -> list[account_pb2.Account]:
    request = account_service_pb2.ListAccountsRequest(page_token=before, page_size=page_size)
    return list((await billing.accounts.ListAccounts(request)).accounts)


async def test_an_account_is_shown_with_what_it_has_in_each_environment(billing: Billing) -> None:
    account = await billing.account(contract="nextapi", credits_live=10)
    await billing.grant(account, 7, grant_id="test", environment="test")
    await billing.hold("job_1", account, 3 * CREDIT)

    shown = await _get(billing, account)

    [row] = await billing.rows("SELECT * FROM accounts")
    assert shown == account_pb2.Account(
        account_id=account,
        rules=account_pb2.AccountRules(),
        name="Acme",
        contract="nextapi",
        created_at=f"{row['created_at']:%Y-%m-%dT%H:%M:%S}.{row['created_at'].microsecond // 1000:03}Z",
        funds=[
            account_pb2.AccountFunds(
                environment=environment_value("live"),
                available_micros=7 * CREDIT,
                held_micros=3 * CREDIT,
                spending=account_pb2.Spending(
                    limits=account_pb2.SpendLimits(), day_micros=3 * CREDIT, month_micros=3 * CREDIT
                ),
            ),
            account_pb2.AccountFunds(
                environment=environment_value("test"),
                available_micros=7,
                spending=account_pb2.Spending(
                    limits=account_pb2.SpendLimits(per_day_micros=TEST_DAY_MICROS["nextapi"])
                ),
            ),
        ],
    )


async def test_accounts_are_listed_newest_first_in_pages(billing: Billing) -> None:
    opened = [await billing.account() for _ in range(5)]
    await billing.new_key(opened[0])

    first = await _list(billing, page_size=2)
    rest = await _list(billing, before=first[-1].account_id)

    assert [account.account_id for account in [*first, *rest]] == opened[::-1]
    assert len(first) == 2
    assert rest[-1] == await _get(billing, opened[0])


async def test_the_keys_of_a_suspended_account_are_refused_until_it_is_resumed(billing: Billing) -> None:
    account, other = await billing.account(), await billing.account()
    keys = [await billing.new_key(account, environment) for environment in ("live", "test")]
    of_other = await billing.new_key(other)

    suspended = await _suspend(billing, account)

    assert suspended.HasField("suspended_at")
    for key in keys:
        with pytest.raises(ServiceError) as refused:
            await billing.look_up(key.secret)
        assert refused.value.reason is Reason.KEY_INVALID
    assert (await billing.look_up(of_other.secret)).account_id == other

    resumed = await _resume(billing, account)

    assert not resumed.HasField("suspended_at")
    assert [(await billing.look_up(key.secret)).key_id for key in keys] == [key.key.key_id for key in keys]


async def test_tasks_of_a_suspended_account_go_on(billing: Billing) -> None:
    account = await billing.account(credits_live=10)
    await billing.hold("job_1", account, 4 * CREDIT)
    await billing.hold("job_2", account, 4 * CREDIT)

    await _suspend(billing, account)
    await billing.confirm("job_1")
    await billing.capture("job_1", 3 * CREDIT)
    await billing.release("job_2")

    assert await billing.balance(account) == (7 * CREDIT, 0)


async def test_suspending_or_resuming_again_changes_nothing(billing: Billing) -> None:
    account = await billing.account()
    unchanged = await billing.everything()

    await _resume(billing, account)

    assert await billing.everything() == unchanged

    first = await _suspend(billing, account)
    suspended = await billing.everything()
    again = await asyncio.gather(*(_suspend(billing, account) for _ in range(5)))

    assert all(answer == first for answer in again)
    assert await billing.everything() == suspended


async def test_an_unknown_account_is_refused_and_nothing_is_written(billing: Billing) -> None:
    await billing.account()
    before = await billing.everything()

    for call in (_get, _suspend, _resume):
        with pytest.raises(ServiceError) as refused:
            await call(billing, "acct_nobody")
        assert refused.value.reason is Reason.ACCOUNT_NOT_FOUND

    assert await billing.everything() == before
