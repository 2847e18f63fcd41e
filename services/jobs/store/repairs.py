"""What is put right about jobs whose hold is not where it should be, in SQL. Each leaves an audit entry in its commit."""

from collections.abc import Mapping

from psycopg.types.json import Jsonb
from sqlalchemy import text

from services.common.audit.note import AuditNote
from services.common.postgres.database import Pool, Query, fetch
from services.jobs.domain.failures import FailureCode
from services.jobs.store.lock_order import once_locked
from services.jobs.store.partitions import has_id
from services.jobs.store.queue.claims import GOT_ON
from services.jobs.store.queue.strays import STRAY_COLUMNS, strayed
from services.jobs.store.refunds import APPLY, LOCK_JOB, Refund

_IS_JOB = has_id("jobs.id", ":job_id")

# A worker that has the job finds that it no longer does, and changes nothing. No worker moves an unfinished job that has
# no work row, so it gets one; whether the job has ended meanwhile is known once nobody else can end it.
_GIVE_UP = Query(
    text(f"""
    WITH known AS (
        SELECT job_id, state FROM work WHERE job_id = :job_id FOR UPDATE
    ), tried AS (
        SELECT id FROM attempts WHERE job_id = :job_id AND {once_locked("known")} ORDER BY id FOR UPDATE
    ), forsaken AS (
        SELECT id, account_id, environment, key_id FROM jobs
        WHERE {_IS_JOB} AND status IN ('pending', 'processing') AND (SELECT count(*) FROM known) = 0
            AND {once_locked("tried")}
        FOR NO KEY UPDATE
    ), restored AS (
        INSERT INTO work (job_id, state, account_id, environment, key_id, lease_no)
        SELECT id, 'failing', account_id, environment, key_id, 1 FROM forsaken
        ON CONFLICT DO NOTHING
        RETURNING job_id, 'pending' AS state
    ), taken AS (
        UPDATE work SET state = 'failing', state_since = now(), {GOT_ON}, due_at = now(),
            lease_no = lease_no + 1, lease_until = '-infinity'
        FROM known WHERE work.job_id = known.job_id
    ), given_up AS (
        SELECT * FROM known UNION ALL SELECT * FROM restored
    ), closed AS (
        UPDATE attempts SET outcome = 'failed', detail = 'operator', closed_at = now(),
            cost_micros = CASE WHEN coalesce(task_id, claimed_task_id) IS NOT NULL THEN quoted_micros END
        FROM given_up WHERE attempts.job_id = given_up.job_id AND outcome IS NULL
        RETURNING {STRAY_COLUMNS}
    ), {strayed("closed", reason="operator")}, named AS (
        UPDATE jobs SET failure = coalesce(failure, :failure) FROM given_up
        WHERE {_IS_JOB} AND id = given_up.job_id AND {once_locked("closed")}
    )
    INSERT INTO audit (actor, action, subject_id, reason, details)
    SELECT :actor, :action, job_id, :reason, jsonb_build_object('state', state, 'move', 'give_up') FROM given_up
    """)  # noqa: S608
)

_HURRY = Query(
    text(f"""
    WITH hurried AS (
        UPDATE work SET due_at = now(), wake_no = wake_no + 1, {GOT_ON}
        WHERE job_id = :job_id AND state = 'stored'
        RETURNING job_id
    )
    INSERT INTO audit (actor, action, subject_id, reason, details)
    SELECT :actor, :action, job_id, :reason, jsonb_build_object('state', 'stored', 'move', 'complete') FROM hurried
    """)  # noqa: S608
)

_NOTE = Query(
    text("""
    INSERT INTO audit (actor, action, subject_id, reason, details)
    VALUES (:actor, :action, :subject_id, :reason, :details)
    """)
)

# What was refunded of it before goes back with the rest, so it is no refund any more; its audit entry stays.
_WAIVE = Query(
    text(f"""
    WITH waived AS (
        SELECT id, charged_micros, returned_micros FROM jobs
        WHERE {_IS_JOB} AND status = 'completed' AND charged_micros > 0
        FOR NO KEY UPDATE
    ), known AS MATERIALIZED (
        SELECT refund_id FROM refunds JOIN waived ON refunds.job_id = waived.id
        ORDER BY refund_id FOR UPDATE OF refunds
    ), forgotten AS (
        DELETE FROM refunds USING known WHERE refunds.refund_id = known.refund_id RETURNING refunds.refund_id
    ), changed AS (
        UPDATE jobs SET charged_micros = 0, returned_micros = 0, refunded_micros = reserved_micros
        FROM waived WHERE {_IS_JOB} AND jobs.id = waived.id
        RETURNING account_id, environment, model, created_at, waived.charged_micros - waived.returned_micros AS micros
    ), day_counted AS (
        UPDATE usage_daily AS usage SET refunded_micros = usage.refunded_micros + micros
        FROM changed
        WHERE (usage.account_id, usage.environment, usage.model)
                = (changed.account_id, changed.environment, changed.model)
            AND day = CAST(created_at AT TIME ZONE 'UTC' AS date) AND {once_locked("forgotten")}
        RETURNING day
    ), hour_counted AS (
        UPDATE usage_hourly AS usage SET refunded_micros = usage.refunded_micros + micros
        FROM changed
        WHERE (usage.account_id, usage.environment, usage.model)
                = (changed.account_id, changed.environment, changed.model)
            AND hour = date_trunc('hour', created_at, 'UTC') AND {once_locked("day_counted")}
    )
    INSERT INTO audit (actor, action, subject_id, reason, details)
    SELECT :actor, :action, id, :reason, jsonb_build_object('move', 'waive', 'charged_micros', charged_micros,
        'returned_micros', returned_micros) FROM waived
    """)  # noqa: S608
)

_REFUNDS = Query(
    text("""
    SELECT refund_id, job_id, amount_micros, reason FROM refunds
    WHERE job_id = :job_id AND applied_at IS NOT NULL ORDER BY created_at
    """)
)

_NOTE_REFUND = Query(
    text("""
    INSERT INTO refunds (refund_id, job_id, amount_micros, actor, reason, due_at)
    VALUES (:refund_id, :job_id, :amount_micros, :actor, :reason, now()) ON CONFLICT DO NOTHING
    """)
)


class SqlRepairs:
    """Repairs of jobs whose hold is not where it should be. Each change leaves an audit entry."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def give_up(self, job_id: str, *, failure: FailureCode, action: str, note: AuditNote) -> None:
        """Moves an unfinished job to FAILING, whichever worker has it, and makes it due."""
        async with self._pool.connection() as connection:
            bound = _GIVE_UP.bind(job_id=job_id, failure=failure.value, action=action, **vars(note))
            await connection.execute(_GIVE_UP.sql, bound)

    async def hurry(self, job_id: str, *, action: str, note: AuditNote) -> None:
        """Makes a job in STORED due at once."""
        async with self._pool.connection() as connection:
            await connection.execute(_HURRY.sql, _HURRY.bind(job_id=job_id, action=action, **vars(note)))

    async def note(
        self, subject_id: str, *, action: str, note: AuditNote, details: Mapping[str, object]
    ) -> None:
        """Puts on record what billing is about to be asked for."""
        values = {"subject_id": subject_id, "action": action, "details": Jsonb(dict(details))}
        async with self._pool.connection() as connection:
            await connection.execute(_NOTE.sql, _NOTE.bind(**values, **vars(note)))

    async def waive(self, job_id: str, *, action: str, note: AuditNote) -> None:
        """Makes a completed job one that was charged nothing, in usage too. Repeating it changes nothing."""
        async with self._pool.connection() as connection:
            bound = _WAIVE.bind(job_id=job_id, action=action, **vars(note))
            await connection.execute(_WAIVE.sql, bound)

    async def refunds_of(self, job_id: str) -> list[Refund]:
        """Returns the refunds that were counted to a job, oldest first."""
        return [Refund(**row) for row in await fetch(self._pool, _REFUNDS, job_id=job_id)]

    async def note_refund(self, refund: Refund, *, action: str, note: AuditNote) -> None:
        """Counts a refund to its job that billing has made. Repeating it changes nothing."""
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute(LOCK_JOB.sql, LOCK_JOB.bind(job_id=refund.job_id))
            bound = _NOTE_REFUND.bind(
                refund_id=refund.refund_id,
                job_id=refund.job_id,
                amount_micros=refund.amount_micros,
                **vars(note),
            )
            await connection.execute(_NOTE_REFUND.sql, bound)
            await connection.execute(APPLY.sql, APPLY.bind(refund_id=refund.refund_id, job_id=refund.job_id))
            details = Jsonb({"move": "note_refund", "amount_micros": refund.amount_micros})
            noted = _NOTE.bind(subject_id=refund.job_id, action=action, details=details, **vars(note))
            await connection.execute(_NOTE.sql, noted)
