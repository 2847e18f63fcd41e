"""PostgreSQL through a psycopg pool. Statements are written in SQLAlchemy Core and compiled once, at import."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.sql import Executable
from sqlalchemy.sql.elements import ClauseElement
from typing_extensions import override

from services.common.postgres.arrays import ArrayDumper
from services.common.postgres.connection import PrimaryConnection, connection_parameters
from services.common.telemetry.pool_metrics import pool_measured

Connection = AsyncConnection[DictRow]
Pool = AsyncConnectionPool[Connection]

CHECKOUT_TIMEOUT_SECONDS = 5.0
STATEMENT_TIMEOUT_MS = 10_000
IDLE_TRANSACTION_TIMEOUT_MS = 10_000
RECONNECT_SECONDS = 1.0
"""How long one connection is tried again before it is given up, and another one begun."""


_DIALECT = PGDialect_psycopg(paramstyle="pyformat")  # type: ignore[no-untyped-call]
_NUMBERED = PGDialect_psycopg(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]


class Query:
    """A statement compiled once. `sql` and `bind(...)` are what psycopg's `execute` takes."""

    def __init__(self, statement: Executable) -> None:
        assert isinstance(statement, ClauseElement)
        self._statement = statement
        compiled = statement.compile(dialect=_DIALECT)
        # Without indentation: psycopg remembers how it reads a statement only if that is not too long.
        self.sql = "\n".join(line.strip() for line in str(compiled).split("\n")).encode()
        self._defaults = {name: value for name, value in compiled.params.items() if value is not None}
        self._names = frozenset(compiled.params)

    def takes(self, name: str) -> bool:
        """Returns whether the statement has a parameter of this name."""
        return name in self._names

    def bind(self, **values: Any) -> dict[str, Any]:
        """Returns the parameters of one execution. Every name must be one of the statement's."""
        assert values.keys() <= self._names, f"unknown parameters {values.keys() - self._names}"
        return {**self._defaults, **values}

    def prepared_as(self, name: str) -> bytes:
        """Returns the command that prepares the statement under a name, for one session."""
        return f"PREPARE {name} AS {self._statement.compile(dialect=_NUMBERED)}".encode()


class _RenewingPool(AsyncConnectionPool[Connection]):
    """Drops all idle connections when one comes back closed: a server that restarted, or takes no writes, broke them all."""

    @override
    async def putconn(self, conn: Connection) -> None:
        is_closed = conn.closed
        await super().putconn(conn)
        if is_closed:
            await self.drain()

    @override
    async def reconnect_failed(self) -> None:
        """Begins again at once. The pool itself would wait twice as long after each failure, for minutes in the end."""
        if self.get_stats()["pool_size"] < self.min_size:
            await self.check()


async def begin_session(connection: Connection, *, statement_timeout_ms: int, plans_once: bool) -> None:
    """Prepares a new connection for statements of ours."""
    connection.adapters.register_dumper(list, ArrayDumper)
    settings = {
        "statement_timeout": statement_timeout_ms,
        "idle_in_transaction_session_timeout": IDLE_TRANSACTION_TIMEOUT_MS,
        "timezone": "UTC",
        "jit": "off",
        # A plan that was made while a table was small is kept until statistics are gathered again, and by then reads it
        # whole for each row that it wants.
        "enable_seqscan": "off",
        **({"plan_cache_mode": "force_generic_plan"} if plans_once else {}),
    }
    # Not as options of the start, which poolers refuse or drop.
    calls = (f"set_config('{name}', '{value}', false)" for name, value in settings.items())
    await connection.execute(f"SELECT {', '.join(calls)}".encode(), prepare=False)


@asynccontextmanager
async def open_pool(
    url: str, *, name: str, connections_max: int, plans_once: bool = False
) -> AsyncIterator[Pool]:
    """Opens a pool of autocommitting connections: a single statement is one round trip and one commit.

    With `plans_once`, a connection plans each statement that it repeats for all values. To plan one for its values costs
    time for every partition that it might read, and PostgreSQL takes that for cheaper than it is.
    """
    pool: Pool = _RenewingPool(
        url,
        connection_class=PrimaryConnection,
        kwargs={
            "autocommit": True,
            "row_factory": dict_row,
            "application_name": name,
            **connection_parameters(url),
        },
        configure=partial(begin_session, statement_timeout_ms=STATEMENT_TIMEOUT_MS, plans_once=plans_once),
        min_size=1,
        max_size=connections_max,
        timeout=CHECKOUT_TIMEOUT_SECONDS,
        reconnect_timeout=RECONNECT_SECONDS,
        name=name,
        open=False,
    )
    await pool.open()
    try:
        with pool_measured(pool):
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
