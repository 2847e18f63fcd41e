"""The ends of jobs that customers may have to be told of once more, in SQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from services.common.audit.note import AuditNote
from services.common.postgres.database import Pool, Query, fetch
from services.jobs.domain.events import OutboxEvent
from services.jobs.domain.job import Job
from services.jobs.store.retention import KEPT, Kept
from services.jobs.store.rows import JOB_COLUMNS, job_from_row

HAND_OVER_ACTION = "event.hand_over"
"""What audit entries call an event that was put into the outbox again."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a page of ended jobs begins: by account, then by the moment of the end, then by id."""

    account_id: str
    ended_at: datetime
    job_id: str = ""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """A job that has ended."""

    job: Job
    was_taken: bool
    """Whether a provider ever had it."""


# A provider that took a job gave its task an id, and the attempt keeps it as long as the job's content is kept.
_PAGE = Query(
    text(f"""
    SELECT {", ".join(column.name for column in JOB_COLUMNS)},
        (SELECT true FROM attempts WHERE attempts.job_id = jobs.id AND task_id IS NOT NULL LIMIT 1) IS NOT NULL
            AS was_taken
    FROM jobs
    WHERE {KEPT[Kept.CONTENT]} AND account_id = :account_id
        AND (ended_at, id) > (CAST(:ended_at AS timestamptz), CAST(:job_id AS text))
    ORDER BY ended_at, id LIMIT :most
    """)  # noqa: S608
)
_HAND_OVER = Query(
    text("""
    WITH told AS (
        INSERT INTO outbox (event_id, job_id, account_id, environment, contract, type, sequence, target_url, body,
            occurred_at, traceparent)
        SELECT * FROM unnest(
            CAST(:event_ids AS text[]), CAST(:job_ids AS text[]), CAST(:account_ids AS text[]),
            CAST(:environments AS text[]), CAST(:contracts AS text[]), CAST(:types AS text[]),
            CAST(:sequences AS integer[]), CAST(:target_urls AS text[]), CAST(:bodies AS bytea[]),
            CAST(:occurred AS timestamptz[]), CAST(:traceparents AS text[])
        ) AS _ (event_id) ORDER BY event_id
        ON CONFLICT DO NOTHING
        RETURNING event_id, job_id
    ), noted AS (
        INSERT INTO audit (actor, action, subject_id, reason, details)
        SELECT :actor, :action, event_id, :reason, jsonb_build_object('job_id', job_id) FROM told
    )
    SELECT count(*) AS events FROM told
    """)
)


class SqlEndings:
    """The ends of jobs whose content is kept."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def page(self, after: Place, *, limit: int) -> list[Ending]:
        """Returns jobs of one account that ended after a place, in the order in which they did."""
        rows = await fetch(self._pool, _PAGE, most=limit, **vars(after))
        return [Ending(job=job_from_row(row), was_taken=row["was_taken"]) for row in rows]

    async def hand_over(self, events: Sequence[OutboxEvent], *, note: AuditNote) -> int:
        """Puts events into the outbox that are not in it, each with an audit entry in the same commit.

        Returns how many they were.
        """
        [row] = await fetch(
            self._pool,
            _HAND_OVER,
            event_ids=[event.event_id for event in events],
            job_ids=[event.job_id for event in events],
            account_ids=[event.owner.account_id for event in events],
            environments=[event.owner.environment for event in events],
            contracts=[event.owner.contract for event in events],
            types=[event.type for event in events],
            sequences=[event.sequence for event in events],
            target_urls=[event.target_url for event in events],
            bodies=[event.body for event in events],
            occurred=[event.occurred_at for event in events],
            traceparents=[event.traceparent for event in events],
            action=HAND_OVER_ACTION,
            **vars(note),
        )
        return int(row["events"])
