"""Tasks that no job waits for, in SQL. They are put on record in the statement that closes their attempt."""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import text

from services.common.postgres.database import Pool, Query, fetch
from services.jobs.store.partitions import has_id, job_of
from services.jobs.timing import STRAY_SECONDS_MAX


class StrayEnd(StrEnum):
    """What became of a task that no job waits for."""

    STOPPED = "stopped"
    RENDERED = "rendered"
    """It could not be stopped, and the provider bills for it."""
    FAILED = "failed"
    ABSENT = "absent"
    """The provider has no such task of that attempt."""
    UNKNOWN = "unknown"
    """No answer before the task was certainly over."""


@dataclass(frozen=True, kw_only=True)
class Stray:
    """A task at a provider that no job waits for, by the attempt that it was started for."""

    attempt_id: str
    environment: str
    route: str
    credential: str
    key_name: str
    task_id: str
    is_certain: bool
    """Whether the provider itself named the task as that of the attempt."""
    is_overdue: bool
    """Whether it has been on record for longer than a task can last."""


STRAY_COLUMNS = """attempts.id, attempts.job_id, attempts.route, attempts.task_id, attempts.claimed_task_id,
            attempts.is_claim_authentic, attempts.credential, attempts.key_name"""
"""What a part of a statement that closes attempts has to return for `strayed`."""


def strayed(
    closed: str,
    *,
    reason: str,
    condition: str = "true",
    job: str = job_of(":job_id"),
    unnamed: str = "false",
) -> str:
    """Returns the part of a statement that puts on record what was started for the attempts of another part.

    `job` is a subquery for the job of an attempt: the one that the statement is about. Where `unnamed` holds, a task that
    nobody can name is on record too, as one whose end is unknown, until a callback names it.
    """
    return f"""strayed AS (
        INSERT INTO strays AS known (attempt_id, job_id, environment, route, credential, key_name, task_id, is_certain,
            reason, price_micros, outcome, ended_at)
        SELECT {closed}.id, job_id, job.environment, route, credential, key_name,
            coalesce(task_id, claimed_task_id, ''), task_id IS NOT NULL OR is_claim_authentic, '{reason}', reserved_micros,
            CASE WHEN coalesce(task_id, claimed_task_id) IS NULL THEN '{StrayEnd.UNKNOWN}' END,
            CASE WHEN coalesce(task_id, claimed_task_id) IS NULL THEN now() END
        FROM {closed} CROSS JOIN LATERAL {job} AS job
        WHERE (coalesce(task_id, claimed_task_id) IS NOT NULL OR {unnamed}) AND {condition}
        ORDER BY {closed}.id
        ON CONFLICT (attempt_id) DO UPDATE SET task_id = excluded.task_id, reason = excluded.reason, due_at = now(),
            is_certain = excluded.is_certain, outcome = NULL, ended_at = NULL
        WHERE known.task_id = ''
    )"""  # noqa: S608


# Made due again later before its provider is asked: no other worker asks meanwhile, and if this one dies the next one asks.
_TAKE_DUE = Query(
    text("""
    UPDATE strays SET tries = tries + 1,
        due_at = now() + make_interval(secs => least(3600, 60 * 2 ^ least(tries, 10)))
    WHERE attempt_id = (
        SELECT attempt_id FROM strays WHERE outcome IS NULL AND due_at <= now()
        ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    RETURNING attempt_id, environment, route, credential, key_name, task_id, is_certain,
        noted_at < now() - make_interval(secs => :seconds_max) AS is_overdue
    """)
)

_END = Query(
    text("""
    WITH tried AS MATERIALIZED (
        SELECT id FROM attempts WHERE id = :attempt_id AND outcome <> 'succeeded' FOR NO KEY UPDATE
    ), charged AS (
        UPDATE attempts SET cost_micros = CASE WHEN :is_charged THEN quoted_micros END
        FROM tried WHERE attempts.id = tried.id
        RETURNING attempts.id
    )
    UPDATE strays SET outcome = :outcome, ended_at = now()
    WHERE attempt_id = :attempt_id AND outcome IS NULL AND (SELECT count(*) FROM charged) IS NOT NULL
    """)
)
_FORGET = Query(
    text(f"""
    DELETE FROM attempts WHERE id = :attempt_id
        AND (SELECT content_deleted_at FROM jobs WHERE {has_id("jobs.id", ":job_id")}) IS NOT NULL
    """)  # noqa: S608
)
"""For attempts that only their stray kept from being deleted with the content of their job."""
_CHARGED = frozenset({StrayEnd.RENDERED, StrayEnd.UNKNOWN})
"""The ends of tasks that their provider bills, or possibly does."""


class SqlStrays:
    """Tasks at providers that no job waits for."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def take_due(self) -> Stray | None:
        """Returns the stray task that is due longest. Nobody else gets it within a minute."""
        rows = await fetch(self._pool, _TAKE_DUE, seconds_max=STRAY_SECONDS_MAX)
        return Stray(**rows[0]) if rows else None

    async def end(self, stray: Stray, outcome: StrayEnd) -> None:
        """Notes what became of a stray task, and what it cost. It is not due any more."""
        async with self._pool.connection() as connection:
            bound = _END.bind(
                attempt_id=stray.attempt_id, outcome=outcome.value, is_charged=outcome in _CHARGED
            )
            await connection.execute(_END.sql, bound)
        async with self._pool.connection() as connection:
            kept = _FORGET.bind(attempt_id=stray.attempt_id, job_id=stray.attempt_id.rpartition("-")[0])
            await connection.execute(_FORGET.sql, kept)
