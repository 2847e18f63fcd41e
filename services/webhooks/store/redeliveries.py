"""Tasks that deliver many again, in PostgreSQL: each batch is one statement, so a task that is cut off goes on."""

from datetime import datetime
from typing import Any

from sqlalchemy import text

from services.common.database import Pool, Query
from services.webhooks.domain import Owner, Redelivery

_SHOWN = (
    "redelivery_id, endpoint_id, start_at, end_at, examined_count, redelivered_count, created_at, ended_at"
)
_ADD = Query(
    text(f"""
    INSERT INTO redeliveries (redelivery_id, account_id, environment, endpoint_id, start_at, end_at)
    VALUES (:redelivery_id, :account_id, :environment, :endpoint_id, :start_at, :end_at)
    ON CONFLICT (redelivery_id) DO UPDATE SET redelivery_id = excluded.redelivery_id
    RETURNING {_SHOWN}
    """)  # noqa: S608
)
_GET = Query(
    text(f"""
    SELECT {_SHOWN} FROM redeliveries
    WHERE redelivery_id = :redelivery_id AND account_id = :account_id AND environment = :environment
    """)  # noqa: S608
)
_ADVANCE = Query(text("SELECT advance_redelivery(:most) AS examined"))


class SqlRedeliveries:
    """Fulfils Redeliveries."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(
        self,
        redelivery_id: str,
        *,
        owner: Owner,
        endpoint_id: str | None,
        start: datetime,
        end: datetime,
    ) -> Redelivery:
        """See Redeliveries."""
        [row] = await self._rows(
            _ADD,
            redelivery_id=redelivery_id,
            account_id=owner.account_id,
            environment=owner.environment,
            endpoint_id=endpoint_id,
            start_at=start,
            end_at=end,
        )
        return Redelivery(**row)

    async def get(self, redelivery_id: str, *, owner: Owner) -> Redelivery | None:
        """See Redeliveries."""
        rows = await self._rows(
            _GET,
            redelivery_id=redelivery_id,
            account_id=owner.account_id,
            environment=owner.environment,
        )
        return Redelivery(**rows[0]) if rows else None

    async def advance(self, *, deliveries_max: int) -> int:
        """See Redeliveries."""
        [row] = await self._rows(_ADVANCE, most=deliveries_max)
        return int(row["examined"])

    async def _rows(self, query: Query, **values: Any) -> list[dict[str, Any]]:
        async with self._pool.connection() as connection:
            return await (await connection.execute(query.sql, query.bind(**values))).fetchall()
