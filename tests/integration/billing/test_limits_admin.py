"""Limits of accounts and keys as operators set and see them."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import psycopg
import pytest
from reelgate.admin.v1 import account_pb2, account_service_pb2, key_admin_service_pb2

from services.common.errors import Reason, ServiceError
from services.common.rpc.enums import environment_of, environment_value
from tests.integration.billing.running import CREDIT, NOTE, Billing
from tests.patience import PATIENCE_SECONDS

Set = Callable[[Billing, str, account_pb2.SpendLimits], Coroutine[Any, Any, account_pb2.Spending]]
SOME = account_pb2.SpendLimits(per_job_micros=1, per_day_micros=2, per_month_micros=3)


async def _set_account(
    billing: Billing, account_id: str, limits: account_pb2.SpendLimits, environment: str = "live"
) -> account_pb2.Spending:
    request = account_service_pb2.SetAccountLimitsRequest(
        account_id=account_id, environment=environment_value(environment), limits=limits, audit=NOTE
    )
    return (await billing.accounts.SetAccountLimits(request)).spending


async def _set_key(billing: Billing, key_id: str, limits: account_pb2.SpendLimits) -> account_pb2.Spending:
    request = key_admin_service_pb2.SetKeyLimitsRequest(key_id=key_id, limits=limits, audit=NOTE)
    return (await billing.key_admin.SetKeyLimits(request)).key.spending


async def _of_account(billing: Billing, account_id: str) -> dict[str, account_pb2.Spending]:
    answer = await billing.accounts.GetAccount(account_service_pb2.GetAccountRequest(account_id=account_id))
    return {environment_of(funds.environment): funds.spending for funds in answer.account.funds}


async def _of_keys(billing: Billing, account_id: str) -> dict[str, account_pb2.Spending]:
    request = key_admin_service_pb2.ListKeysRequest(account_id=account_id)
    return {key.key_id: key.spending for key in (await billing.key_admin.ListKeys(request)).keys}


async def _new_subject(billing: Billing, set_limits: Set) -> str:
    account = await billing.account()
    return account if set_limits is _set_account else (await billing.new_key(account)).key.key_id


async def test_limits_of_an_account_hold_in_one_environment(billing: Billing) -> None:
    account = await billing.account()

    answer = await _set_account(billing, account, SOME, "test")

    assert answer == account_pb2.Spending(limits=SOME)
    assert await _of_account(billing, account) == {
        "test": account_pb2.Spending(limits=SOME),
        "live": account_pb2.Spending(limits=account_pb2.SpendLimits()),
    }


async def test_limits_of_a_key_are_its_own(billing: Billing) -> None:
    account = await billing.account()
    bounded, free = [(await billing.new_key(account)).key.key_id for _ in range(2)]

    await _set_key(billing, bounded, SOME)

    unlimited = account_pb2.Spending(limits=account_pb2.SpendLimits())
    assert await _of_keys(billing, account) == {bounded: account_pb2.Spending(limits=SOME), free: unlimited}
    assert (await _of_account(billing, account))["live"] == unlimited


@pytest.mark.parametrize("set_limits", [_set_account, _set_key])
async def test_new_limits_stand_instead_of_all_those_before(billing: Billing, set_limits: Set) -> None:
    subject = await _new_subject(billing, set_limits)
    await set_limits(billing, subject, SOME)

    bounded = await set_limits(billing, subject, account_pb2.SpendLimits(per_day_micros=0))

    assert bounded.limits == account_pb2.SpendLimits(per_day_micros=0)
    assert bounded.limits.HasField("per_day_micros")

    freed = await set_limits(billing, subject, account_pb2.SpendLimits())

    assert freed == account_pb2.Spending(limits=account_pb2.SpendLimits())


@pytest.mark.parametrize("set_limits", [_set_account, _set_key])
async def test_setting_the_same_limits_again_changes_nothing(billing: Billing, set_limits: Set) -> None:
    subject = await _new_subject(billing, set_limits)
    first = await set_limits(billing, subject, SOME)
    before = await billing.everything()

    again = await asyncio.gather(*(set_limits(billing, subject, SOME) for _ in range(5)))

    assert all(answer == first for answer in again)
    assert await billing.everything() == before


async def test_what_is_held_or_was_charged_today_and_this_month_is_shown_as_spent(billing: Billing) -> None:
    account = await billing.account(credits_live=100)
    key = (await billing.new_key(account)).key.key_id
    await billing.hold("by_key", account, 10 * CREDIT, key_id=key)
    await billing.hold("by_nobody", account, 20 * CREDIT)
    await billing.hold("given_back", account, 40 * CREDIT, key_id=key)

    await billing.capture("by_key", 7 * CREDIT)
    await billing.release("given_back")

    of_account = account_pb2.Spending(
        limits=account_pb2.SpendLimits(), day_micros=27 * CREDIT, month_micros=27 * CREDIT
    )
    of_key = account_pb2.Spending(limits=SOME, day_micros=7 * CREDIT, month_micros=7 * CREDIT)
    assert (await _of_account(billing, account))["live"] == of_account
    assert await _set_key(billing, key, SOME) == of_key


async def test_what_was_spent_on_an_earlier_day_or_in_an_earlier_month_is_not_shown(billing: Billing) -> None:
    account = await billing.account(credits_live=100)
    await billing.hold("job_1", account, CREDIT)

    await billing.rows("UPDATE spending SET day = day - 1")

    shown = (await _of_account(billing, account))["live"]
    assert (shown.day_micros, shown.month_micros) == (0, CREDIT)

    await billing.rows("UPDATE spending SET month = month - interval '1 month'")

    shown = (await _of_account(billing, account))["live"]
    assert (shown.day_micros, shown.month_micros) == (0, 0)


@pytest.mark.parametrize("set_limits", [_set_account, _set_key])
async def test_limits_wait_for_whoever_moves_the_balance(billing: Billing, set_limits: Set) -> None:
    subject = await _new_subject(billing, set_limits)
    async with await psycopg.AsyncConnection.connect(billing.database_url) as other:
        await other.execute("SELECT FROM balances WHERE environment = 'live' FOR NO KEY UPDATE")
        setting = asyncio.create_task(set_limits(billing, subject, SOME))
        await _until_one_waits(billing)
        [row] = await billing.rows(
            "SELECT per_job_micros FROM spending WHERE subject_id = %s LIMIT 1", subject
        )
        meanwhile = row["per_job_micros"]

    answer = await setting

    assert meanwhile is None
    assert answer.limits == SOME


async def _until_one_waits(billing: Billing) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not await billing.rows(
        "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    ):
        assert time.monotonic() < deadline, "nobody waits for the balance"


@pytest.mark.parametrize(
    ("set_limits", "reason"), [(_set_account, Reason.ACCOUNT_NOT_FOUND), (_set_key, Reason.KEY_NOT_FOUND)]
)
async def test_limits_of_nobody_are_refused_and_nothing_is_written(
    billing: Billing, set_limits: Set, reason: Reason
) -> None:
    account = await billing.account()
    key = (await billing.new_key(account)).key.key_id
    before = await billing.everything()

    for subject in ("nobody", key if set_limits is _set_account else account):
        with pytest.raises(ServiceError) as refused:
            await set_limits(billing, subject, SOME)
        assert refused.value.reason is reason

    assert await billing.everything() == before
