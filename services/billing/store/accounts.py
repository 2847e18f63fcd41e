"""Accounts and balances in PostgreSQL."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import BigInteger, Select, bindparam, cast, func, insert, null, select, update

from services.billing.domain import (
    BALANCE_MICROS_MAX,
    TEST_DAY_MICROS,
    Account,
    AccountRules,
    Adjustment,
    AdjustmentRefusal,
    Balance,
    Funds,
    NewAccount,
    Spending,
    SpendLimits,
)
from services.billing.refusals import account_not_found, balance_not_adjusted
from services.billing.store.outcomes import OK
from services.billing.store.spending import SPENDING_COLUMNS, set_limits, spending_of
from services.billing.tables import accounts, balances, spending
from services.common.audit.note import AuditNote
from services.common.audit.store import write_audit
from services.common.errors import Reason
from services.common.postgres.database import Connection, Pool, Query, fetch, fetch_within

ENVIRONMENTS = ("live", "test")

_ADD_ACCOUNT = Query(
    insert(accounts).values({name: bindparam(name) for name in ("account_id", "name", "contract")})
)
_ADD_BALANCE = Query(
    insert(balances).values({name: bindparam(name) for name in ("account_id", "environment")})
)
_ADD_SPENDING = Query(
    insert(spending).values(
        subject_id=bindparam("account_id"),
        account_id=bindparam("account_id"),
        environment=bindparam("environment"),
        per_day_micros=bindparam("per_day_micros"),
    )
)
_ACCOUNT_COLUMNS = ("account_id", "name", "contract", "created_at", "suspended_at")
_RULE_COLUMNS = ("jobs_at_once", "moderation_profile")
_SHOWN_COLUMNS = (*_ACCOUNT_COLUMNS, *_RULE_COLUMNS)


def _with_funds(chosen: Select[Any]) -> Query:
    """Each account chosen, newest first, in one row for each environment."""
    account = chosen.subquery()
    return Query(
        select(
            *(account.c[name] for name in _SHOWN_COLUMNS),
            balances.c.environment,
            balances.c.available_micros,
            balances.c.held_micros,
            *SPENDING_COLUMNS,
        )
        .join_from(account, balances, balances.c.account_id == account.c.account_id)
        .join(
            spending,
            (spending.c.subject_id == balances.c.account_id)
            & (spending.c.environment == balances.c.environment),
        )
        .order_by(account.c.account_id.desc(), balances.c.environment)
    )


_ACCOUNTS = select(*(accounts.c[name] for name in _SHOWN_COLUMNS))
_NEWEST = _ACCOUNTS.order_by(accounts.c.account_id.desc()).limit(bindparam("accounts_max"))
_GET = _with_funds(_ACCOUNTS.where(accounts.c.account_id == bindparam("of_account_id")))
_PAGE = _with_funds(_NEWEST)
_PAGE_BEFORE = _with_funds(_NEWEST.where(accounts.c.account_id < bindparam("before_id")))
_of_account = accounts.c.account_id == bindparam("of_account_id")
_SUSPEND = Query(
    update(accounts)
    .where(_of_account, accounts.c.suspended_at.is_(None))
    .values(suspended_at=func.now())
    .returning(accounts.c.account_id)
)
_RESUME = Query(
    update(accounts)
    .where(_of_account, accounts.c.suspended_at.is_not(None))
    .values(suspended_at=null())
    .returning(accounts.c.account_id)
)
_RULES_LOCKED = Query(
    select(*(accounts.c[name] for name in _RULE_COLUMNS)).where(_of_account).with_for_update(key_share=True)
)
_SET_RULES = Query(
    update(accounts).where(_of_account).values({name: bindparam(f"new_{name}") for name in _RULE_COLUMNS})
)
_CONTRACT = Query(select(accounts.c.contract).where(accounts.c.account_id == bindparam("account_id")))
_BALANCE = Query(
    select(balances.c.available_micros, balances.c.held_micros).where(
        balances.c.account_id == bindparam("account_id"), balances.c.environment == bindparam("environment")
    )
)
_GIVE = Query(
    select(
        func.give_credits(
            bindparam("kind"),
            bindparam("gift_id"),
            bindparam("account_id"),
            bindparam("environment"),
            cast(bindparam("amount_micros"), BigInteger),
            cast(bindparam("total_max"), BigInteger),
            bindparam("actor"),
            bindparam("reason"),
        ).table_valued("outcome", "available")
    )
)


class SqlAccounts:
    """Accounts and what they have."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, account: NewAccount, *, note: AuditNote) -> None:
        """Opens an account with empty balances in both environments."""
        async with self._pool.connection() as connection, connection.transaction():
            bound = _ADD_ACCOUNT.bind(
                account_id=account.account_id, name=account.name, contract=account.contract
            )
            await connection.execute(_ADD_ACCOUNT.sql, bound)
            for environment in ENVIRONMENTS:
                of_balance = {"account_id": account.account_id, "environment": environment}
                await connection.execute(_ADD_BALANCE.sql, _ADD_BALANCE.bind(**of_balance))
                per_day_micros = TEST_DAY_MICROS[account.contract] if environment == "test" else None
                bound = _ADD_SPENDING.bind(**of_balance, per_day_micros=per_day_micros)
                await connection.execute(_ADD_SPENDING.sql, bound)
            details = {"name": account.name, "contract": account.contract}
            await write_audit(
                connection, note, action="account.create", subject_id=account.account_id, details=details
            )

    async def get(self, account_id: str) -> Account:
        """Returns an account with what it has and may spend. Refuses with ACCOUNT_NOT_FOUND."""
        async with self._pool.connection() as connection:
            return await _get(connection, account_id)

    async def page(self, *, before_id: str | None, accounts_max: int) -> list[Account]:
        """Returns the newest accounts that are older than one (None: the newest of all), newest first."""
        query = _PAGE if before_id is None else _PAGE_BEFORE
        chosen = {} if before_id is None else {"before_id": before_id}
        return _accounts(await fetch(self._pool, query, accounts_max=accounts_max, **chosen))

    async def suspend(self, account_id: str, *, note: AuditNote) -> Account:
        """Stops every key of an account from working. Tasks under way go on.

        Repeating it changes nothing. Refuses with ACCOUNT_NOT_FOUND.
        """
        return await self._change(_SUSPEND, account_id, action="account.suspend", note=note)

    async def resume(self, account_id: str, *, note: AuditNote) -> Account:
        """Lets the keys of a suspended account work again.

        Repeating it changes nothing. Refuses with ACCOUNT_NOT_FOUND.
        """
        return await self._change(_RESUME, account_id, action="account.resume", note=note)

    async def _change(self, query: Query, account_id: str, *, action: str, note: AuditNote) -> Account:
        async with self._pool.connection() as connection, connection.transaction():
            if await fetch_within(connection, query, of_account_id=account_id):
                await write_audit(connection, note, action=action, subject_id=account_id, details={})
            return await _get(connection, account_id)

    async def set_limits(
        self, account_id: str, *, environment: str, limits: SpendLimits, note: AuditNote
    ) -> Spending:
        """Replaces what an account may spend in one environment, from the next hold on.

        Repeating it changes nothing. Refuses with ACCOUNT_NOT_FOUND.
        """
        async with self._pool.connection() as connection, connection.transaction():
            spending_now = await set_limits(
                connection,
                limits,
                subject_id=account_id,
                account_id=account_id,
                environment=environment,
                action="account.set_limits",
                note=note,
            )
        if spending_now is None:
            raise account_not_found(account_id)
        return spending_now

    async def set_rules(self, account_id: str, *, rules: AccountRules, note: AuditNote) -> AccountRules:
        """Replaces how an account may be used. Repeating it changes nothing. Refuses with ACCOUNT_NOT_FOUND."""
        async with self._pool.connection() as connection, connection.transaction():
            found = await fetch_within(connection, _RULES_LOCKED, of_account_id=account_id)
            if not found:
                raise account_not_found(account_id)
            before = AccountRules(**found[0])
            if before == rules:
                return before
            new = {f"new_{name}": value for name, value in vars(rules).items()}
            await connection.execute(_SET_RULES.sql, _SET_RULES.bind(of_account_id=account_id, **new))
            details = {"before": vars(before), "after": vars(rules)}
            await write_audit(
                connection, note, action="account.set_rules", subject_id=account_id, details=details
            )
            return rules

    async def contract(self, account_id: str) -> str:
        """Returns the contract an account is on. Refuses with ACCOUNT_NOT_FOUND."""
        rows = await fetch(self._pool, _CONTRACT, account_id=account_id)
        if not rows:
            raise account_not_found(account_id)
        return str(rows[0]["contract"])

    async def balance(self, *, account_id: str, environment: str) -> Balance:
        """Returns what an account has in one environment. Refuses with ACCOUNT_NOT_FOUND."""
        rows = await fetch(self._pool, _BALANCE, account_id=account_id, environment=environment)
        if not rows:
            raise account_not_found(account_id)
        return Balance(**rows[0])

    async def adjust(self, adjustment: Adjustment) -> int:
        """Adds credits, or takes them. Repeating it changes nothing. Returns the micro-credits available after it.

        Refuses with ACCOUNT_NOT_FOUND, GRANT_MISMATCH, CORRECTION_MISMATCH, CREDITS_INSUFFICIENT, or INVALID_FIELD
        above BALANCE_MICROS_MAX.
        """
        [row] = await fetch(
            self._pool,
            _GIVE,
            kind=adjustment.kind.value,
            gift_id=adjustment.adjustment_id,
            account_id=adjustment.account_id,
            environment=adjustment.environment,
            amount_micros=adjustment.amount_micros,
            total_max=BALANCE_MICROS_MAX,
            actor=adjustment.note.actor,
            reason=adjustment.note.reason,
        )
        available_micros = int(row["available"] or 0)
        if row["outcome"] != OK:
            refusal = AdjustmentRefusal(reason=Reason(row["outcome"]), available_micros=available_micros)
            raise balance_not_adjusted(adjustment, refusal)
        return available_micros


async def _get(connection: Connection, account_id: str) -> Account:
    found = _accounts(await fetch_within(connection, _GET, of_account_id=account_id))
    if not found:
        raise account_not_found(account_id)
    return found[0]


def _accounts(rows: Sequence[dict[str, Any]]) -> list[Account]:
    return [
        _account(dict(zip(_SHOWN_COLUMNS, values, strict=True)), of_account)
        for values, of_account in groupby(rows, itemgetter(*_SHOWN_COLUMNS))
    ]


def _account(shown: dict[str, Any], rows: Iterable[dict[str, Any]]) -> Account:
    return Account(
        **{name: shown[name] for name in _ACCOUNT_COLUMNS},
        rules=AccountRules(**{name: shown[name] for name in _RULE_COLUMNS}),
        funds=tuple(map(_funds, rows)),
    )


def _funds(row: dict[str, Any]) -> Funds:
    balance = Balance(available_micros=row["available_micros"], held_micros=row["held_micros"])
    return Funds(environment=row["environment"], balance=balance, spending=spending_of(row))
