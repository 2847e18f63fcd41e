"""How the store asks the database."""

from typing import Any

from services.common.database import Connection, Pool, Query

OK = "OK"
"""The outcome of a ledger function that did what was wished; any other is a Reason."""


async def fetch(pool: Pool, query: Query, **values: Any) -> list[dict[str, Any]]:
    """Runs one statement as a transaction of its own and returns its rows. The statement bounds them."""
    async with pool.connection() as connection:
        return await fetch_within(connection, query, **values)


async def fetch_within(connection: Connection, query: Query, **values: Any) -> list[dict[str, Any]]:
    """Runs one statement in the connection's transaction and returns its rows. The statement bounds them."""
    cursor = await connection.execute(query.sql, query.bind(**values))
    return await cursor.fetchall()
