"""Events as they come in, in PostgreSQL."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text

from services.common.database import Pool, Query
from services.webhooks.domain import CALLBACK_TARGET, Event

# An existing head is locked although nothing of it changes: whoever drains it at this moment must wait, and
# will then see what is appended here; or it is gone already, and a new one is made.
_ACCEPT = Query(
    text("""
    WITH wanted AS (
        SELECT * FROM unnest(
            CAST(:event_ids AS text[]), CAST(:job_ids AS text[]), CAST(:account_ids AS text[]),
            CAST(:environments AS text[]), CAST(:contracts AS text[]), CAST(:types AS text[]),
            CAST(:sequences AS integer[]), CAST(:target_urls AS text[]), CAST(:bodies AS bytea[]),
            CAST(:occurred AS timestamptz[])
        ) AS _ (event_id, job_id, account_id, environment, contract, type, sequence, target_url, body, occurred_at)
    ), stored AS (
        INSERT INTO events
            (event_id, job_id, account_id, environment, contract, type, sequence, body, occurred_at)
        SELECT event_id, job_id, account_id, environment, contract, type, sequence, body, occurred_at
        FROM wanted ORDER BY event_id
        ON CONFLICT (event_id) DO NOTHING
        RETURNING event_id, job_id, sequence
    ), added AS (
        INSERT INTO deliveries (job_id, target_id, sequence, event_id, target_url)
        SELECT stored.job_id, :target_id, stored.sequence, stored.event_id, wanted.target_url
        FROM stored JOIN wanted USING (event_id)
    ), headed AS (
        INSERT INTO heads (job_id, target_id, next_sequence)
        SELECT job_id, :target_id, min(sequence) FROM stored GROUP BY job_id ORDER BY job_id
        ON CONFLICT (job_id, target_id) DO UPDATE SET next_sequence = heads.next_sequence WHERE false
    )
    SELECT count(*) AS new_count FROM stored
    """)
)


class SqlEvents:
    """Fulfils Events."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def accept(self, events: Sequence[Event]) -> int:
        """See Events."""
        async with self._pool.connection() as connection:
            [row] = await (await connection.execute(_ACCEPT.sql, _parameters(events))).fetchall()
        return int(row["new_count"])


def _parameters(events: Sequence[Event]) -> dict[str, Any]:
    return _ACCEPT.bind(
        target_id=CALLBACK_TARGET,
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
