"""Events as they come in, in PostgreSQL. How, is in the function `take_events` of the migrations."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text

from services.common.postgres.database import Connection, Pool, Query, fetch_within
from services.webhooks.domain import Event

_TAKE = Query(
    text("""
    SELECT * FROM take_events(
        CAST(:event_ids AS text[]), CAST(:job_ids AS text[]), CAST(:account_ids AS text[]),
        CAST(:environments AS text[]), CAST(:contracts AS text[]), CAST(:types AS text[]),
        CAST(:sequences AS integer[]), CAST(:target_urls AS text[]), CAST(:bodies AS bytea[]),
        CAST(:occurred AS timestamptz[])
    )
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


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What became of a batch of events."""

    new_count: int
    """How many were new."""
    told: Sequence[str]
    """The listeners that were told of some."""


class SqlEvents:
    """Events as they come in."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def accept(self, events: Sequence[Event], *, traceparent: str | None = None) -> Taken:
        """Stores events with their deliveries and tells listeners, in one commit.

        Those that are stored already stay as they are; events without any target are not stored. Attempts at deliveries
        belong to the span `traceparent`, if there is one.
        """
        async with self._pool.connection() as connection:
            if traceparent is None:
                return await store_events(connection, events)
            async with connection.transaction():
                taken = await store_events(connection, events)
                job_ids = list({event.job_id for event in events})
                await connection.execute(_TRACE.sql, _TRACE.bind(job_ids=job_ids, traceparent=traceparent))
            return taken


async def store_events(connection: Connection, events: Sequence[Event]) -> Taken:
    """Stores events in the connection's transaction, if it is in one."""
    [row] = await fetch_within(
        connection,
        _TAKE,
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
    return Taken(new_count=int(row["stored_count"]), told=row["told"])
