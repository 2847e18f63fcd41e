"""Events as they come in, in PostgreSQL. How, is in the function `accept_events` of the migrations."""

from collections.abc import Sequence

from sqlalchemy import text

from services.common.postgres.database import Connection, Pool, Query, fetch_within
from services.webhooks.domain import Event

_ACCEPT = Query(
    text("""
    SELECT accept_events(
        CAST(:event_ids AS text[]), CAST(:job_ids AS text[]), CAST(:account_ids AS text[]),
        CAST(:environments AS text[]), CAST(:contracts AS text[]), CAST(:types AS text[]),
        CAST(:sequences AS integer[]), CAST(:target_urls AS text[]), CAST(:bodies AS bytea[]),
        CAST(:occurred AS timestamptz[])
    ) AS stored_count
    """)
)
_TRACE = Query(
    text("""
    WITH taken AS MATERIALIZED (
        SELECT job_id, target_id FROM heads WHERE job_id = ANY(CAST(:job_ids AS text[])) AND traceparent IS NULL
        ORDER BY job_id, target_id FOR UPDATE
    )
    UPDATE heads SET traceparent = :traceparent
    FROM taken WHERE heads.job_id = taken.job_id AND heads.target_id = taken.target_id
    """)
)


class SqlEvents:
    """Events as they come in."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def accept(self, events: Sequence[Event], *, traceparent: str | None = None) -> int:
        """Stores events with their deliveries, in one commit. Returns how many were new.

        Those that are stored already stay as they are; events without any target are not stored. Attempts at deliveries
        belong to the span `traceparent`, if there is one.
        """
        async with self._pool.connection() as connection:
            if traceparent is None:
                return await store_events(connection, events)
            async with connection.transaction():
                new_count = await store_events(connection, events)
                job_ids = list({event.job_id for event in events})
                await connection.execute(_TRACE.sql, _TRACE.bind(job_ids=job_ids, traceparent=traceparent))
            return new_count


async def store_events(connection: Connection, events: Sequence[Event]) -> int:
    """Stores events in the connection's transaction, if it is in one. Returns how many were new."""
    [row] = await fetch_within(
        connection,
        _ACCEPT,
        event_ids=[event.event_id for event in events],
        job_ids=[event.job_id for event in events],
        account_ids=[event.account_id for event in events],
        environments=[event.environment for event in events],
        contracts=[event.contract for event in events],
        types=[event.type for event in events],
        sequences=[event.sequence for event in events],
        target_urls=[event.target_url for event in events],
        bodies=[event.body for event in events],
        occurred=[event.occurred_at for event in events],
    )
    return int(row["stored_count"])
