"""Events on their way to the webhooks service, in SQL."""

from collections.abc import Sequence

from sqlalchemy import bindparam, delete, func, select

from services.common.database import Pool, Query
from services.jobs.domain import (
    OutboxEvent,
    Owner,
)
from services.jobs.tables import outbox

_OLDEST = Query(select(outbox).order_by(outbox.c.event_id).limit(bindparam("most")))
_REMOVE = Query(delete(outbox).where(outbox.c.event_id == func.any(bindparam("event_ids"))))


class SqlOutbox:
    """The port Outbox, on PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def oldest(self, *, limit: int) -> list[OutboxEvent]:
        """Returns events that wait, oldest first."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_OLDEST.sql, _OLDEST.bind(most=limit))
            rows = await cursor.fetchall()
        return [
            OutboxEvent(
                event_id=row["event_id"],
                job_id=row["job_id"],
                owner=Owner(
                    account_id=row["account_id"], environment=row["environment"], contract=row["contract"]
                ),
                type=row["type"],
                sequence=row["sequence"],
                target_url=row["target_url"],
                body=bytes(row["body"]),
                occurred_at=row["occurred_at"],
            )
            for row in rows
        ]

    async def remove(self, event_ids: Sequence[str]) -> None:
        """Forgets events that were taken over."""
        async with self._pool.connection() as connection:
            await connection.execute(_REMOVE.sql, _REMOVE.bind(event_ids=list(event_ids)))
