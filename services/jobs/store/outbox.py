"""Events on their way to the webhooks service, in SQL."""

from collections.abc import Sequence

from sqlalchemy import text

from services.common.postgres.database import Pool, Query, fetch
from services.jobs.domain.events import OutboxEvent
from services.jobs.domain.requests import Owner

# A job's events leave in their order: none overtakes one of its job that was set aside.
_OLDEST = Query(
    text("""
    SELECT * FROM outbox
    WHERE due_at <= now() AND NOT EXISTS (
        SELECT FROM outbox AS earlier
        WHERE earlier.job_id = outbox.job_id AND earlier.sequence < outbox.sequence AND earlier.refusal IS NOT NULL
    )
    ORDER BY due_at, event_id LIMIT :most
    """)
)
_SET_ASIDE = Query(
    text("""
    UPDATE outbox SET due_at = now() + make_interval(secs => :seconds), refusal = :refusal
    WHERE event_id = :event_id
    """)
)
REFUSAL_CHARACTERS_MAX = 500
_REMOVE = Query(
    text("""
    WITH taken AS MATERIALIZED (
        SELECT event_id FROM outbox WHERE event_id = ANY(:event_ids) ORDER BY event_id FOR UPDATE
    )
    DELETE FROM outbox USING taken WHERE outbox.event_id = taken.event_id
    """)
)


class SqlOutbox:
    """Events on their way to the webhooks service."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def oldest(self, *, limit: int) -> list[OutboxEvent]:
        """Returns events that are due, oldest first."""
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
                traceparent=row["traceparent"],
            )
            for row in await fetch(self._pool, _OLDEST, most=limit)
        ]

    async def remove(self, event_ids: Sequence[str]) -> None:
        """Forgets events that were taken over."""
        async with self._pool.connection() as connection:
            await connection.execute(_REMOVE.sql, _REMOVE.bind(event_ids=list(event_ids)))

    async def set_aside(self, event_id: str, *, refusal: str, seconds: float) -> None:
        """Lets an event wait that was refused, and the later ones of its job with it."""
        bound = _SET_ASIDE.bind(event_id=event_id, refusal=refusal[:REFUSAL_CHARACTERS_MAX], seconds=seconds)
        async with self._pool.connection() as connection:
            await connection.execute(_SET_ASIDE.sql, bound)
