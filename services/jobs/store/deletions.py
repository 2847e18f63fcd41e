"""Jobs that their owners deleted, in SQL: content goes in the same commit that puts the deletion of files on record."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import text

from services.common.audit.note import AuditNote
from services.common.postgres.database import Pool, Query, fetch
from services.jobs.domain.job import Job
from services.jobs.store.partitions import has_id
from services.jobs.store.retention import delete_content_within

DELETE_ACTION = "job.delete"
"""What audit entries call it."""
ACCOUNTS_MAX = 1_000
"""That take turns in one batch."""


@dataclass(frozen=True, kw_only=True)
class MediaDeletion:
    """Files that have to go."""

    job_id: str
    created_on: date


_REGISTER = Query(
    text(f"""
    WITH gone AS (
        UPDATE jobs SET media_deleted_at = now()
        WHERE {has_id("jobs.id", ":job_id")} AND video_url IS NOT NULL AND media_deleted_at IS NULL
        RETURNING id, account_id, CAST(created_at AT TIME ZONE 'UTC' AS date) AS created_on
    )
    INSERT INTO deletions (job_id, account_id, created_on) SELECT id, account_id, created_on FROM gone
    """)  # noqa: S608
)
_NOTE = Query(
    text("""
    INSERT INTO audit (actor, action, subject_id, reason, details)
    VALUES (:actor, :action, :job_id, :reason, jsonb_build_object('account_id', CAST(:account_id AS text)))
    """)
)
# Made due again later before the store is asked: if this worker dies, the next one asks.
TAKE_DUE = Query(
    text("""
    WITH RECURSIVE owner AS (
        (SELECT account_id FROM deletions ORDER BY account_id LIMIT 1)
        UNION ALL
        SELECT (SELECT deletions.account_id FROM deletions WHERE deletions.account_id > owner.account_id
            ORDER BY deletions.account_id LIMIT 1)
        FROM owner WHERE owner.account_id IS NOT NULL
    ), due AS MATERIALIZED (
        SELECT each.job_id
        FROM (SELECT account_id FROM owner WHERE account_id IS NOT NULL LIMIT :accounts_max) AS turn
        CROSS JOIN LATERAL (
            SELECT job_id FROM deletions WHERE account_id = turn.account_id AND due_at <= now()
            ORDER BY due_at LIMIT :each_max FOR UPDATE SKIP LOCKED
        ) AS each
        LIMIT :most
    )
    UPDATE deletions SET tries = tries + 1,
        due_at = now() + make_interval(secs => least(3600, 30 * 2 ^ least(tries, 10)))
    WHERE job_id = ANY (ARRAY(SELECT job_id FROM due))
    RETURNING job_id, created_on
    """)
)
_END = Query(text("DELETE FROM deletions WHERE job_id = ANY (CAST(:job_ids AS text[])) RETURNING job_id"))


class SqlDeletions:
    """Jobs that their owners deleted."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def register(self, job: Job, *, note: AuditNote) -> None:
        """Forgets what its customer said in an ended job, and puts the deletion of its files on record, in one commit.

        The first time, that has an audit entry. Repeating it changes nothing.
        """
        async with self._pool.connection() as connection, connection.transaction():
            forgotten = await delete_content_within(connection, [job])
            files = await connection.execute(_REGISTER.sql, _REGISTER.bind(job_id=job.id))
            if forgotten or files.rowcount:
                entry = _NOTE.bind(
                    action=DELETE_ACTION, job_id=job.id, account_id=job.owner.account_id, **vars(note)
                )
                await connection.execute(_NOTE.sql, entry)

    async def take_due(self, *, each_max: int, most: int) -> list[MediaDeletion]:
        """Returns deletions that are due, `each_max` of an account at the most, and keeps them from others for a while."""
        rows = await fetch(self._pool, TAKE_DUE, accounts_max=ACCOUNTS_MAX, each_max=each_max, most=most)
        return [MediaDeletion(**row) for row in rows]

    async def end(self, deletions: Sequence[MediaDeletion]) -> None:
        """Notes that these files have gone."""
        await fetch(self._pool, _END, job_ids=[each.job_id for each in deletions])
