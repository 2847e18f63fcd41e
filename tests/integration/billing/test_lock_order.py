"""Every statement of the billing database locks rows in one order, so that no two can wait for each other in a circle."""

import asyncio

import pytest

from services.billing import store
from services.billing.domain import (
    AccountRules,
    Adjustment,
    AdjustmentKind,
    HoldChange,
    HoldState,
    KeyCalls,
    KeyRules,
    NewAccount,
    NewHold,
    NewKey,
    NewPrices,
    Price,
    Refund,
    SpendLimits,
)
from services.billing.store import lock_order
from services.billing.store.accounts import SqlAccounts
from services.billing.store.call_limits import SqlCallLimits
from services.billing.store.holds import SqlHolds
from services.billing.store.keys import SqlKeys
from services.billing.store.prices import SqlPrices
from services.common.audit.note import AuditNote
from services.common.postgres.database import Pool, open_pool
from services.common.rate_limit.protocol import CallLease
from tests.conftest import MakeDatabase
from tests.integration.lock_log import LockLog, lock_log

NOTE = AuditNote(actor="tests", reason="order")
IN_NOBODYS_WAY = frozenset(
    {
        "accounts",
        "api_keys",
        "balances",
        "spending",
        "price_versions",
        "prices",
        "transactions",
        "entries",
        "audit",
    }
)
ACCOUNTS = ("acct_3", "acct_1", "acct_2")


def a_hold(number: int, environment: str = "live") -> NewHold:
    account = number % len(ACCOUNTS)
    return NewHold(
        hold_id=f"vid_{number:03d}",
        account_id=ACCOUNTS[account],
        environment=environment,
        amount_micros=1_000,
        key_id=f"key_{ACCOUNTS[account]}" if environment == "live" else None,
    )


async def open_accounts(pool: Pool, log: LockLog) -> None:
    """Sends every statement about accounts and keys."""
    accounts, keys = SqlAccounts(pool), SqlKeys(pool)
    for account in ACCOUNTS:
        async with log.step("add account"):
            await accounts.add(NewAccount(account_id=account, name="A", contract="seedancee2"), note=NOTE)
        key_id = f"key_{account}"
        new = NewKey(
            key_id=key_id, account_id=account, environment="live", sha256=key_id.encode().ljust(32), hint="h"
        )
        async with log.step("add key"):
            await keys.add(new, note=NOTE)
        granted = Adjustment(
            kind=AdjustmentKind.GRANT,
            adjustment_id=f"g-{account}",
            account_id=account,
            environment="live",
            amount_micros=10**6,
            note=NOTE,
        )
        async with log.step("adjust"):
            await accounts.adjust(granted)
    limits = SpendLimits(per_day_micros=10**9)
    async with log.step("account set_limits"):
        await accounts.set_limits("acct_1", environment="live", limits=limits, note=NOTE)
    async with log.step("account set_rules"):
        await accounts.set_rules("acct_1", rules=AccountRules(jobs_at_once=3), note=NOTE)
    async with log.step("suspend"):
        await accounts.suspend("acct_1", note=NOTE)
    async with log.step("resume"):
        await accounts.resume("acct_1", note=NOTE)
    key = "key_acct_1"
    async with log.step("key set_limits"):
        await keys.set_limits(key, limits=limits, note=NOTE)
    async with log.step("key set_models"):
        await keys.set_models(key, models=("mini",), note=NOTE)
    async with log.step("key set_rules"):
        await keys.set_rules(key, rules=KeyRules(jobs_at_once=3), note=NOTE)
    async with log.step("rotate"):
        await keys.rotate(key, sha256=b"new".ljust(32), hint="n", overlap_seconds=60, note=NOTE)
    async with log.step("disable"):
        await keys.disable(key, note=NOTE)


async def move_credits(pool: Pool, log: LockLog) -> None:
    """Sends every statement about holds, each for several accounts at once, and not in their order."""
    holds = SqlHolds(pool)
    numbers = (7, 3, 5, 1, 6, 2, 4, 9, 8)
    async with log.step("create holds"):
        await asyncio.gather(*(holds.create(a_hold(number)) for number in numbers))
    async with log.step("create holds again"):
        await asyncio.gather(*(holds.create(a_hold(number)) for number in (10, 3, 5)))
    async with log.step("create test holds"):
        await asyncio.gather(*(holds.create(a_hold(number, "test")) for number in (23, 21, 22)))
    for state, each in (
        (HoldState.CONFIRMED, numbers),
        (HoldState.CAPTURED, (7, 3, 5)),
        (HoldState.RELEASED, (6, 1)),
    ):
        changes = [HoldChange(hold_id=f"vid_{number:03d}", state=state, lasts_seconds=60) for number in each]
        captured = 600 if state is HoldState.CAPTURED else 0
        async with log.step(f"{state} holds"):
            await asyncio.gather(
                *(
                    holds.change(HoldChange(**{**vars(change), "captured_micros": captured}))
                    for change in changes
                )
            )
    async with log.step("refund"):
        await holds.refund(Refund(refund_id="r1", hold_id="vid_007", amount_micros=1, reason="x"))
    for hold_id in ("vid_007", "vid_002"):
        async with log.step("give_back"):
            await holds.give_back(hold_id, note=NOTE)
    await log.connection.execute(
        "UPDATE holds SET expires_at = clock_timestamp() WHERE hold_id IN ('vid_009', 'vid_004')"
    )
    async with log.step("expire"):
        assert await holds.expire(holds_max=10)


async def lease_calls(pool: Pool, log: LockLog) -> None:
    """Sends every statement about the slots of keys, and about prices."""

    def decide(calls: KeyCalls, now_us: int) -> tuple[KeyCalls, CallLease | None]:
        return calls, CallLease(
            slots=(),
            until_us=now_us,
            calls_per_minute=calls.calls_per_minute,
            free_count=0,
            next_free_us=0,
            spare_count=0,
            elsewhere_count=0,
        )

    for _ in range(2):
        async with log.step("lease calls"):
            await SqlCallLimits(pool).change([f"key_{account}" for account in ACCOUNTS], decide=decide)
    price = Price(model="mini", resolution="720p", environment="live", micros_per_second=1)
    async with log.step("add prices"):
        await SqlPrices(pool).add(NewPrices(version="v1", valid_from=None, prices=(price,), note=NOTE))


async def test_every_statement_locks_in_one_order(
    make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = make_database("billing")
    async with lock_log(url, monkeypatch) as log, open_pool(url, name="test", connections_max=4) as pool:
        await open_accounts(pool, log)
        await move_credits(pool, log)
        await lease_calls(pool, log)

        found = await log.violations(
            order=lock_order.LOCK_ORDER,
            new_in_nobodys_way=IN_NOBODYS_WAY,
            guards={"spending": "balances"},
        )
        assert not found, "\n".join(found)
        assert await log.unseen(store) == []
