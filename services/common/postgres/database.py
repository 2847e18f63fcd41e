"""PostgreSQL through a psycopg pool. Statements are written in SQLAlchemy Core and compiled once, at import."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.sql import Executable
from sqlalchemy.sql.elements import ClauseElement
from typing_extensions import override

Connection = AsyncConnection[DictRow]
Pool = AsyncConnectionPool[Connection]

CHECKOUT_TIMEOUT_SECONDS = 5.0
STATEMENT_TIMEOUT_MS = 10_000
IDLE_TRANSACTION_TIMEOUT_MS = 10_000
CONNECT_TIMEOUT_SECONDS = 3
TCP_USER_TIMEOUT_MS = 5_000

_DIALECT = PGDialect_psycopg(paramstyle="pyformat")  # type: ignore[no-untyped-call]


class Query:
    """A statement compiled once. `sql` and `bind(...)` are what psycopg's `execute` takes."""

    def __init__(self, statement: Executable) -> None:
        assert isinstance(statement, ClauseElement)
        compiled = statement.compile(dialect=_DIALECT)
        self.sql = str(compiled).encode()
        self._defaults = {name: value for name, value in compiled.params.items() if value is not None}
        self._names = frozenset(compiled.params)

    def bind(self, **values: Any) -> dict[str, Any]:
        """Returns the parameters of one execution. Every name must be one of the statement's."""
        assert values.keys() <= self._names, f"unknown parameters {values.keys() - self._names}"
        return {**self._defaults, **values}


_OUTAGES = ("08", "25", "53", "57", "58")
"""Classes of SQLSTATE: no connection, a transaction that was ended, no resources, ended by an operator or a timeout,
an error of the system."""


def is_outage(error: Exception) -> bool:
    """Returns whether the database itself failed, rather than the statement. Repeating it at once will not help."""
    if not isinstance(error, psycopg.OperationalError):
        return False
    return error.sqlstate is None or error.sqlstate.startswith(_OUTAGES)


class _RenewingPool(AsyncConnectionPool[Connection]):
    """Drops all idle connections when one comes back broken: a server that restarted broke them all."""

    @override
    async def putconn(self, conn: Connection) -> None:
        is_broken = conn.broken
        await super().putconn(conn)
        if is_broken:
            await self.drain()


@asynccontextmanager
async def open_pool(url: str, *, name: str, connections_max: int) -> AsyncIterator[Pool]:
    """Opens a pool of autocommitting connections: a single statement is one round trip and one commit."""
    pool: Pool = _RenewingPool(
        url,
        connection_class=AsyncConnection[DictRow],
        kwargs={
            "autocommit": True,
            "row_factory": dict_row,
            "application_name": name,
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "tcp_user_timeout": TCP_USER_TIMEOUT_MS,
            "options": (
                f"-c statement_timeout={STATEMENT_TIMEOUT_MS} "
                f"-c idle_in_transaction_session_timeout={IDLE_TRANSACTION_TIMEOUT_MS} "
                "-c timezone=UTC -c jit=off"
            ),
        },
        min_size=1,
        max_size=connections_max,
        timeout=CHECKOUT_TIMEOUT_SECONDS,
        name=name,
        open=False,
    )
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close(timeout=CHECKOUT_TIMEOUT_SECONDS)


async def fetch(pool: Pool, query: Query, **values: Any) -> list[DictRow]:
    """Runs one statement as a transaction of its own and returns its rows. The statement bounds them."""
    async with pool.connection() as connection:
        return await fetch_within(connection, query, **values)


async def fetch_within(connection: Connection, query: Query, **values: Any) -> list[DictRow]:
    """Runs one statement in the connection's transaction and returns its rows. The statement bounds them."""
    cursor = await connection.execute(query.sql, query.bind(**values))
    return await cursor.fetchall()
