"""What is kept of ended jobs, in SQL. Accounts are walked one after another, each by its own range of an index."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from sqlalchemy import text

from services.common.postgres.database import Connection, Pool, Query, fetch
from services.jobs.domain.job import Job
from services.jobs.domain.requests import without_content
from services.jobs.store.partitions import among, these_ids
from services.jobs.store.rows import JOB_COLUMNS, input_to_json, job_from_row


class Kept(StrEnum):
    """What is kept of ended jobs for a time."""

    CONTENT = "content"
    """Prompts, references, metadata, addresses for callbacks, and attempts."""
    MEDIA = "media"


# Each is the condition of an index, word for word.
KEPT = {
    Kept.CONTENT: "ended_at IS NOT NULL AND content_deleted_at IS NULL",
    Kept.MEDIA: "ended_at IS NOT NULL AND video_url IS NOT NULL AND media_deleted_at IS NULL",
}


def _accounts(kept: str) -> Query:
    return Query(
        text(f"""
        WITH RECURSIVE owner AS (
            (SELECT account_id FROM jobs WHERE {kept} AND account_id > :after ORDER BY account_id LIMIT 1)
            UNION ALL
            SELECT (SELECT jobs.account_id FROM jobs WHERE {kept} AND jobs.account_id > owner.account_id
                ORDER BY jobs.account_id LIMIT 1)
            FROM owner WHERE owner.account_id IS NOT NULL
        )
        SELECT account_id FROM owner WHERE account_id IS NOT NULL LIMIT :most
        """)  # noqa: S608
    )


def _aged(kept: str) -> Query:
    # A refund that is not applied yet goes by the job as it was.
    return Query(
        text(f"""
        SELECT old.* FROM unnest(CAST(:account_ids AS text[]), CAST(:days AS int[])) AS owner (account_id, days)
        CROSS JOIN LATERAL (
            SELECT {", ".join(f"jobs.{column.name}" for column in JOB_COLUMNS)} FROM jobs
            WHERE {kept} AND jobs.account_id = owner.account_id
                AND ended_at < now() - make_interval(days => owner.days)
                AND (SELECT true FROM refunds WHERE job_id = jobs.id AND applied_at IS NULL LIMIT 1) IS NULL
            ORDER BY ended_at LIMIT :each_max
        ) AS old
        """)  # noqa: S608
    )


ACCOUNTS = {kind: _accounts(kept) for kind, kept in KEPT.items()}
AGED = {kind: _aged(kept) for kind, kept in KEPT.items()}
# What a stray task costs is not known before it ends, so its attempt goes then.
_DELETE_ATTEMPTS = Query(
    text("""
    WITH old AS MATERIALIZED (
        SELECT id, (SELECT true FROM strays WHERE attempt_id = attempts.id AND outcome IS NULL) IS NOT NULL AS is_stray
        FROM attempts WHERE job_id = ANY(:ids) ORDER BY id FOR UPDATE
    ), blanked AS (
        UPDATE attempts SET detail = NULL FROM old WHERE attempts.id = old.id AND is_stray
    )
    DELETE FROM attempts USING old WHERE attempts.id = old.id AND NOT is_stray
    """)
)
# For its transaction: each job by its index in its partition, as a planner does not when it counts all partitions.
_ONE_BY_ONE = Query(
    text("""
    SELECT set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
        set_config('enable_seqscan', 'off', true)
    """)
)
_DELETE_CONTENT = Query(
    text(f"""
    WITH old AS MATERIALIZED (
        SELECT id, shortened.input
        FROM unnest(CAST(:job_ids AS text[]), CAST(:inputs AS text[])) AS shortened (job_id, input)
        JOIN jobs ON jobs.id = job_id AND {among("jobs.id")}
        WHERE ended_at IS NOT NULL AND content_deleted_at IS NULL
        ORDER BY id FOR NO KEY UPDATE OF jobs
    )
    UPDATE jobs SET input = old.input, metadata = NULL, callback_url = NULL, content_deleted_at = now()
    FROM old WHERE jobs.id = old.id AND {among("jobs.id")}
    """)  # noqa: S608
)
_NOTE_MEDIA = Query(
    text(f"""
    WITH old AS MATERIALIZED (
        SELECT id FROM jobs WHERE {among("jobs.id")} AND media_deleted_at IS NULL
        ORDER BY id FOR NO KEY UPDATE
    )
    UPDATE jobs SET media_deleted_at = now() FROM old WHERE jobs.id = old.id AND {among("jobs.id")}
    """)  # noqa: S608
)


async def delete_content_within(connection: Connection, jobs: Sequence[Job]) -> int:
    """Forgets, in the caller's transaction, what customers said in these jobs. Returns of how many there was something."""
    ids = [job.id for job in jobs]
    inputs = [input_to_json(without_content(job.input)) for job in jobs]
    await connection.execute(_ONE_BY_ONE.sql)
    await connection.execute(_DELETE_ATTEMPTS.sql, _DELETE_ATTEMPTS.bind(ids=ids))
    content = _DELETE_CONTENT.bind(inputs=inputs, **these_ids(ids))
    return (await connection.execute(_DELETE_CONTENT.sql, content)).rowcount


class SqlRetention:
    """Ended jobs whose old content and media are forgotten."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def accounts(self, kind: Kept, *, after: str, limit: int) -> list[str]:
        """Returns the first accounts after one of whose ended jobs something is kept."""
        rows = await fetch(self._pool, ACCOUNTS[kind], after=after, most=limit)
        return [row["account_id"] for row in rows]

    async def aged(self, kind: Kept, *, days: Mapping[str, int], each_max: int) -> list[Job]:
        """Returns, for each account, jobs that ended more than `days` ago and still have content or media, oldest first.

        Leaves out jobs with an unfinished refund.
        """
        rows = await fetch(
            self._pool, AGED[kind], account_ids=list(days), days=list(days.values()), each_max=each_max
        )
        return [job_from_row(row) for row in rows]

    async def delete_content(self, jobs: Sequence[Job]) -> None:
        """Forgets, in one commit, what customers said in these jobs, and the attempts at them."""
        async with self._pool.connection() as connection, connection.transaction():
            await delete_content_within(connection, jobs)

    async def note_media_deleted(self, jobs: Sequence[Job]) -> None:
        """Notes that there are no media of these jobs any more."""
        if not jobs:
            return
        ids = [job.id for job in jobs]
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute(_ONE_BY_ONE.sql)
            await connection.execute(_NOTE_MEDIA.sql, _NOTE_MEDIA.bind(**these_ids(ids)))
