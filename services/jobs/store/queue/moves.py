"""The moves of an unfinished job, one statement and one commit each. Each is several changes: read it top to bottom.

A move starts in one of the states that may precede it, under the caller's lease. It returns no row if another worker
has the job, and then changes nothing. A claim may have set the job aside, so a move makes it due again.
"""

from sqlalchemy import text

from services.common.postgres.database import Query
from services.jobs.domain.states import NEXT, State
from services.jobs.store.admission.waiting import IS_WAITING
from services.jobs.store.lock_order import once_locked
from services.jobs.store.partitions import has_id
from services.jobs.store.queue.claims import ATTEMPT_COLUMNS, GOT_ON
from services.jobs.store.queue.strays import STRAY_COLUMNS, strayed

_BEFORE = {
    state: ", ".join(f"'{origin.value}'" for origin, targets in NEXT.items() if state in targets)
    for state in State
}
"""The states that may precede each state."""
_EVENT = """told AS (
        INSERT INTO outbox (event_id, job_id, account_id, environment, contract, type, sequence, target_url, body,
            occurred_at, traceparent)
        SELECT :event_id, id, account_id, environment, contract, :event_type, :event_sequence,
            coalesce(callback_url, ''), :event_body, :event_occurred_at, traceparent
        FROM changed WHERE CAST(:event_id AS text) IS NOT NULL
    )"""
"""Writes the event about the job in the part `changed`, if there is an event."""

_IS_JOB = has_id("jobs.id", ":job_id")

OPEN_ATTEMPT = Query(
    text(f"""
    WITH moved AS (
        UPDATE work SET state = 'submitting', state_since = now(), {GOT_ON}, due_at = least(due_at, now()),
            lease_until = greatest(lease_until, now() + make_interval(secs => :lease_seconds))
        WHERE job_id = :job_id AND lease_no = :lease_no AND state IN ({_BEFORE[State.SUBMITTING]})
        RETURNING job_id
    ), next AS (
        SELECT moved.job_id, (SELECT coalesce(max(number), 0) + 1 FROM attempts WHERE job_id = :job_id) AS number
        FROM moved
    )
    INSERT INTO attempts (id, job_id, number, route, upstream_model, token, lease_no)
    SELECT job_id || '-' || number, job_id, number, :route, :upstream_model, :token, :lease_no FROM next
    RETURNING {", ".join(ATTEMPT_COLUMNS)}
    """)  # noqa: S608
)

DROP_ATTEMPT = Query(
    text(f"""
    WITH moved AS (
        UPDATE work SET state = 'pending', state_since = now(), {GOT_ON}, lease_until = '-infinity',
            due_at = now() + make_interval(secs => :seconds)
        WHERE job_id = :job_id AND lease_no = :lease_no AND state IN ({_BEFORE[State.PENDING]})
        RETURNING job_id
    ), closed AS (
        UPDATE attempts SET outcome = :outcome, detail = :detail, closed_at = now()
        FROM moved WHERE id = :attempt_id
        RETURNING {STRAY_COLUMNS}
    ), {strayed("closed", reason="dropped")}
    SELECT job_id FROM moved
    """)  # noqa: S608
)

# Due at once if a callback woke the job after it was claimed.
ADOPT_TASK = Query(
    text(f"""
    WITH moved AS (
        UPDATE work SET state = 'processing', state_since = now(), {GOT_ON}, lease_until = '-infinity',
            due_at = now() + make_interval(secs => CASE WHEN wake_no = :wake_no THEN :seconds ELSE 0 END)
        WHERE job_id = :job_id AND lease_no = :lease_no AND state IN ({_BEFORE[State.PROCESSING]})
        RETURNING job_id
    ), named AS (
        UPDATE attempts SET task_id = :task_id FROM moved WHERE id = :attempt_id RETURNING id
    ), changed AS (
        UPDATE jobs SET status = 'processing' FROM moved WHERE {_IS_JOB} AND id = moved.job_id AND {once_locked("named")}
        RETURNING jobs.*
    ), {_EVENT}
    SELECT job_id FROM moved
    """)  # noqa: S608
)

# The job stays in its state: what its customer sees moves.
NOTE_RUNNING = Query(
    text(f"""
    WITH held AS (
        SELECT job_id FROM work WHERE job_id = :job_id AND lease_no = :lease_no AND state = 'processing'
        FOR UPDATE
    ), changed AS (
        UPDATE jobs SET started_at = :started_at FROM held WHERE {_IS_JOB} AND id = held.job_id AND started_at IS NULL
        RETURNING jobs.*
    ), {_EVENT}
    SELECT job_id FROM held
    """)  # noqa: S608
)

KEEP_OUTPUT = Query(
    text(f"""
    WITH moved AS (
        UPDATE work SET state = 'stored', state_since = now(), {GOT_ON}, due_at = least(due_at, now())
        WHERE job_id = :job_id AND lease_no = :lease_no AND state IN ({_BEFORE[State.STORED]})
        RETURNING job_id
    ), closed AS (
        UPDATE attempts SET outcome = 'succeeded', closed_at = now() FROM moved WHERE id = :attempt_id RETURNING id
    ), changed AS (
        UPDATE jobs SET video_url = :video_url, thumbnail_url = :thumbnail_url, last_frame_url = :last_frame_url,
            output_seconds = :output_seconds, started_at = coalesce(started_at, :started_at)
        FROM moved WHERE {_IS_JOB} AND id = moved.job_id AND {once_locked("closed")}
        RETURNING jobs.*
    ), {_EVENT}
    SELECT job_id FROM moved
    """)  # noqa: S608
)

GIVE_UP = Query(
    text(f"""
    WITH moved AS (
        UPDATE work SET state = 'failing', state_since = now(), {GOT_ON}, due_at = least(due_at, now())
        WHERE job_id = :job_id AND lease_no = :lease_no AND state IN ({_BEFORE[State.FAILING]})
        RETURNING job_id
    ), closed AS (
        UPDATE attempts SET outcome = 'failed', detail = :detail, closed_at = now()
        FROM moved WHERE id = :attempt_id AND outcome IS NULL
        RETURNING {STRAY_COLUMNS}
    ), {strayed("closed", reason="given_up", condition="CAST(:may_run AS boolean)")}, named AS (
        UPDATE jobs SET failure = :failure, unusable = :unusable
        FROM moved WHERE {_IS_JOB} AND id = moved.job_id AND {once_locked("closed")}
    )
    SELECT job_id FROM moved
    """)  # noqa: S608
)


def _counted(table: str, period: str, of_creation: str, *, condition: str = "true") -> str:
    """Returns the part that adds the job in the part `changed` to a roll-up of usage."""
    return f"""
        INSERT INTO {table} AS usage (account_id, environment, {period}, model, completed_jobs, failed_jobs,
            charged_micros, refunded_micros)
        SELECT account_id, environment, {of_creation}, model, completed, 1 - completed,
            charged_micros + refunded_micros, refunded_micros
        FROM changed WHERE {condition}
        ON CONFLICT (account_id, environment, {period}, model) DO UPDATE SET
            completed_jobs = usage.completed_jobs + excluded.completed_jobs,
            failed_jobs = usage.failed_jobs + excluded.failed_jobs,
            charged_micros = usage.charged_micros + excluded.charged_micros,
            refunded_micros = usage.refunded_micros + excluded.refunded_micros
        RETURNING usage.account_id
    """  # noqa: S608


# The last column says whether the job gave up a place that another job waits for. As EXISTS it might be answered by
# reading all jobs that wait, whosever they are.
FINISH = Query(
    text(f"""
    WITH gone AS (
        DELETE FROM work WHERE job_id = :job_id AND lease_no = :lease_no
        RETURNING job_id, account_id, environment, admitted_at
    ), changed AS (
        UPDATE jobs SET status = :status, charged_micros = :charged, refunded_micros = :refunded,
            ended_at = :ended_at
        FROM gone WHERE {_IS_JOB} AND id = gone.job_id
        RETURNING jobs.*, CAST(status = 'completed' AS int) AS completed
    ), day_counted AS (
        {_counted("usage_daily", "day", "CAST(created_at AT TIME ZONE 'UTC' AS date)")}
    ), hour_counted AS (
        {_counted("usage_hourly", "hour", "date_trunc('hour', created_at, 'UTC')", condition=once_locked("day_counted"))}
    ), {_EVENT}
    SELECT account_id, environment, admitted_at IS NOT NULL AND (
        SELECT true FROM work AS waiting
        WHERE {IS_WAITING} AND waiting.account_id = gone.account_id AND waiting.environment = gone.environment
        LIMIT 1
    ) IS NOT NULL AS is_awaited
    FROM gone
    """)  # noqa: S608
)
