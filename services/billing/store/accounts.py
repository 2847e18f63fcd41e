"""Accounts and balances in PostgreSQL."""

from sqlalchemy import BigInteger, bindparam, cast, func, insert, select

from services.billing.domain import BALANCE_MICROS_MAX, Account, Balance, Grant
from services.billing.store.rows import OK, fetch
from services.billing.tables import accounts, balances
from services.common.database import Pool, Query
from services.common.errors import Reason

ENVIRONMENTS = ("live", "test")

_ADD_ACCOUNT = Query(
    insert(accounts).values({name: bindparam(name) for name in ("account_id", "name", "contract")})
)
_ADD_BALANCE = Query(
    insert(balances).values({name: bindparam(name) for name in ("account_id", "environment")})
)
_CONTRACT = Query(select(accounts.c.contract).where(accounts.c.account_id == bindparam("account_id")))
_BALANCE = Query(
    select(balances.c.available_micros, balances.c.held_micros).where(
        balances.c.account_id == bindparam("account_id"), balances.c.environment == bindparam("environment")
    )
)
_GRANT = Query(
    select(
        func.grant_credits(
            bindparam("grant_id"),
            bindparam("account_id"),
            bindparam("environment"),
            cast(bindparam("amount_micros"), BigInteger),
            bindparam("reason"),
            cast(bindparam("total_max"), BigInteger),
        ).table_valued("outcome", "available")
    )
)


class SqlAccounts:
    """Fulfils Accounts."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, account: Account) -> None:
        """See Accounts."""
        async with self._pool.connection() as connection, connection.transaction():
            bound = _ADD_ACCOUNT.bind(
                account_id=account.account_id, name=account.name, contract=account.contract
            )
            await connection.execute(_ADD_ACCOUNT.sql, bound)
            for environment in ENVIRONMENTS:
                bound = _ADD_BALANCE.bind(account_id=account.account_id, environment=environment)
                await connection.execute(_ADD_BALANCE.sql, bound)

    async def contract(self, account_id: str) -> str | None:
        """See Accounts."""
        rows = await fetch(self._pool, _CONTRACT, account_id=account_id)
        return rows[0]["contract"] if rows else None

    async def balance(self, *, account_id: str, environment: str) -> Balance | None:
        """See Accounts."""
        rows = await fetch(self._pool, _BALANCE, account_id=account_id, environment=environment)
        return Balance(**rows[0]) if rows else None

    async def grant(self, grant: Grant) -> int | Reason:
        """See Accounts."""
        [row] = await fetch(self._pool, _GRANT, **vars(grant), total_max=BALANCE_MICROS_MAX)
        return int(row["available"]) if row["outcome"] == OK else Reason(row["outcome"])
