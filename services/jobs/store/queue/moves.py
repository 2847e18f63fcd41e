"""The moves of unfinished jobs, one statement and one commit for all that come together. Read each top to bottom.

A move starts in one of the states that may precede it, under the caller's lease. Of a job that another worker has it
returns no row, and changes nothing of it. A claim may have set the job aside, so a move makes it due again.

Each locks all rows of one table that it will change, in the order of `lock_order`, before it changes the first.
"""

from sqlalchemy import text

from services.common.postgres.database import Query
from services.jobs.domain.states import NEXT, State
from services.jobs.store.admission.waiting import IS_WAITING
from services.jobs.store.lock_order import once_locked
from services.jobs.store.partitions import among, is_one, within
from services.jobs.store.queue.blame import BLAME_COLUMNS, answered, blamed
from services.jobs.store.queue.claims import GOT_ON
from services.jobs.store.queue.items import IS_HELD, held, locked
from services.jobs.store.queue.strays import STRAY_COLUMNS, strayed

_BEFORE = {
    state: ", ".join(f"'{origin.value}'" for origin, targets in NEXT.items() if state in targets)
    for state in State
}
"""The states that may precede each state."""
_EVENT_COLUMNS = (
    "event_id text, event_type text, event_sequence int, event_body text, event_occurred_at timestamptz"
)
"""Of an item. All are null if there is no event."""


_MOVED = f"FROM held WHERE {IS_HELD} RETURNING held.*"
_IS_ATTEMPT = is_one("attempts.id", "attempt.attempt_id")
_IS_JOB = f"jobs.id = job.job_id AND {among('jobs.id')}"
_STRAYS_JOB = f"(SELECT * FROM jobs WHERE jobs.id = job_id AND {within('jobs.id')} LIMIT 1)"  # noqa: S608


def _attempt(*, condition: str = "true") -> str:
    """Returns the part that locks the attempts of the part `moved`."""
    row = f"attempts WHERE attempts.id = each.attempt_id AND {condition}"
    return locked("attempt", of="moved", by="attempt_id", row=row)


def _job(*, of: str = "moved", after: str | None = None, condition: str = "true") -> str:
    """Returns the part that locks the rows in `jobs` of another part, once a third one is through."""
    row = f"jobs WHERE jobs.id = each.job_id AND {within('jobs.id')} AND {condition}"
    return locked("job", of=of, by="job_id", row=row, after=after)


_CHANGED = """RETURNING jobs.id, jobs.account_id, jobs.environment, jobs.contract, jobs.callback_url, jobs.traceparent,
            event_id, event_type, event_sequence, event_body, event_occurred_at"""
_EVENTS = """told AS (
        INSERT INTO outbox (event_id, job_id, account_id, environment, contract, type, sequence, target_url, body,
            occurred_at, traceparent)
        SELECT event_id, id, account_id, environment, contract, event_type, event_sequence,
            coalesce(callback_url, ''), convert_to(event_body, 'UTF8'), event_occurred_at, traceparent
        FROM changed WHERE event_id IS NOT NULL ORDER BY event_id
        RETURNING event_id
    )"""
"""Writes the events about the jobs in the part `changed`, which returns _CHANGED."""

COUNT_RENDERS = Query(
    text("SELECT count(*) AS renders FROM attempts WHERE job_id = :job_id AND task_id IS NOT NULL")
)

# A provider that has rendered nothing for the task charges nothing.
DROP_ATTEMPT = Query(
    text(f"""
    WITH {
        held(
            f"attempt_id text, outcome text, detail text, seconds float8, {BLAME_COLUMNS}",
            states=_BEFORE[State.PENDING],
        )
    },
    moved AS (
        UPDATE work SET state = 'pending', state_since = now(), {
        GOT_ON
    }, lease_until = '-infinity', due_at = now()
        {_MOVED}
    ), {_attempt()}, closed AS (
        UPDATE attempts SET outcome = attempt.outcome, detail = attempt.detail, closed_at = now(),
            failure_class = attempt.failure_class, retry_at = now() + make_interval(secs => attempt.seconds),
            cost_micros = CASE WHEN blames IS DISTINCT FROM 'render' AND coalesce(task_id, claimed_task_id) IS NOT NULL
                THEN quoted_micros END
        FROM attempt WHERE {_IS_ATTEMPT}
        RETURNING {STRAY_COLUMNS}, attempt.blames
    ), {blamed("moved", after="closed")}, {
        strayed(
            "closed",
            reason="dropped",
            job=_STRAYS_JOB,
            condition=f"blames IS DISTINCT FROM 'render' AND {once_locked('blamed')}",
        )
    }
    SELECT job_id, lease_no FROM moved
    """)  # noqa: S608
)

# Due at once if a callback woke the job after it was claimed.
ADOPT_TASK = Query(
    text(f"""
    WITH {
        held(
            f"attempt_id text, route text, task_id text, seconds float8, wake_no int, {_EVENT_COLUMNS}",
            states=_BEFORE[State.PROCESSING],
        )
    },
    moved AS (
        UPDATE work SET state = 'processing', state_since = now(), {GOT_ON}, lease_until = '-infinity',
            due_at = now() + make_interval(secs => CASE WHEN work.wake_no = held.wake_no THEN seconds ELSE 0 END)
        {_MOVED}
    ), {_attempt()}, named AS (
        UPDATE attempts SET task_id = attempt.task_id, submitted_at = now() FROM attempt WHERE {
        _IS_ATTEMPT
    } RETURNING id
    ), {_job(after="named")}, changed AS (
        UPDATE jobs SET status = 'processing' FROM job WHERE {_IS_JOB}
        {_CHANGED}
    ), {_EVENTS}, {answered("moved", after="told")}
    SELECT job_id, lease_no FROM moved
    """)  # noqa: S608
)

# The job stays in its state: what its customer sees moves.
NOTE_RUNNING = Query(
    text(f"""
    WITH {held(f"started_at timestamptz, {_EVENT_COLUMNS}", states="'processing'")},
    {_job(of="held", condition="jobs.started_at IS NULL")}, changed AS (
        UPDATE jobs SET started_at = job.started_at FROM job WHERE {_IS_JOB}
        {_CHANGED}
    ), {_EVENTS}
    SELECT job_id, lease_no FROM held
    """)  # noqa: S608
)

KEEP_OUTPUT = Query(
    text(f"""
    WITH {
        held(
            "attempt_id text, route text, rendered_at timestamptz, video_url text, thumbnail_url text, last_frame_url text, output_seconds float8,"
            f" started_at timestamptz, {_EVENT_COLUMNS}",
            states=_BEFORE[State.STORED],
        )
    },
    moved AS (
        UPDATE work SET state = 'stored', state_since = now(), {GOT_ON}, due_at = least(due_at, now())
        {_MOVED}
    ), {_attempt()}, closed AS (
        UPDATE attempts SET outcome = 'succeeded', closed_at = now(), cost_micros = quoted_micros,
            rendered_at = coalesce(attempt.rendered_at, now())
        FROM attempt WHERE {_IS_ATTEMPT} RETURNING id
    ), {_job(after="closed")}, changed AS (
        UPDATE jobs SET video_url = job.video_url, thumbnail_url = job.thumbnail_url,
            last_frame_url = job.last_frame_url, output_seconds = job.output_seconds,
            started_at = coalesce(jobs.started_at, job.started_at)
        FROM job WHERE {_IS_JOB}
        {_CHANGED}
    ), {_EVENTS}, {answered("moved", after="told", renders=True)}
    SELECT job_id, lease_no FROM moved
    """)  # noqa: S608
)

# What may go on is possibly charged; of a task whose name was never known nothing else is left.
GIVE_UP = Query(
    text(f"""
    WITH {
        held(
            "attempt_id text, route text, failure text, unusable text, detail text, outcome text, may_run boolean,"
            " is_charged boolean, has_answered boolean, failure_class text",
            states=_BEFORE[State.FAILING],
        )
    },
    moved AS (
        UPDATE work SET state = 'failing', state_since = now(), {GOT_ON}, due_at = least(due_at, now())
        {_MOVED}
    ), {_attempt(condition="outcome IS NULL")}, closed AS (
        UPDATE attempts SET outcome = attempt.outcome, detail = attempt.detail, closed_at = now(),
            failure_class = attempt.failure_class, cost_micros = CASE WHEN is_charged THEN quoted_micros END
        FROM attempt WHERE {_IS_ATTEMPT}
        RETURNING {STRAY_COLUMNS}, attempts.outcome, may_run
    ), {_job(after="closed")}, named AS (
        UPDATE jobs SET failure = job.failure, unusable = job.unusable FROM job WHERE {_IS_JOB} RETURNING id
    ), {answered("moved", after="named", condition="has_answered")}, {
        strayed(
            "closed",
            reason="given_up",
            job=_STRAYS_JOB,
            condition=f"may_run AND {once_locked('named')} AND {once_locked('answered')}",
            unnamed="outcome = 'unknown'",
        )
    }
    SELECT job_id, lease_no FROM moved
    """)  # noqa: S608
)


def _counted(table: str, period: str, of_creation: str, *, after: str) -> str:
    """Returns the part that adds the jobs in the part `changed` to a roll-up of usage, each of its rows once."""
    return f"""
        INSERT INTO {table} AS usage (account_id, environment, {period}, model, completed_jobs, failed_jobs,
            charged_micros, refunded_micros)
        SELECT account_id, environment, {of_creation} AS {period}, model,
            sum(completed), sum(1 - completed), sum(charged_micros + refunded_micros), sum(refunded_micros)
        FROM changed WHERE {once_locked(after)}
        GROUP BY account_id, environment, {period}, model ORDER BY account_id, environment, {period}, model
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
    WITH {
        held(
            f"status text, charged bigint, refunded bigint, ended_at timestamptz, {_EVENT_COLUMNS}",
            lock="UPDATE",
        )
    },
    gone AS (
        DELETE FROM work USING held WHERE {IS_HELD}
        RETURNING held.*, account_id, environment, key_id, admitted_at
    ), {_job(of="gone")}, changed AS (
        UPDATE jobs SET status = job.status, charged_micros = job.charged, refunded_micros = job.refunded,
            ended_at = job.ended_at
        FROM job WHERE {_IS_JOB}
        {_CHANGED}, jobs.model, jobs.created_at, jobs.charged_micros, jobs.refunded_micros,
            CAST(jobs.status = 'completed' AS int) AS completed
    ), {_EVENTS}, day_counted AS (
        {_counted("usage_daily", "day", "CAST(created_at AT TIME ZONE 'UTC' AS date)", after="told")}
    ), hour_counted AS (
        {_counted("usage_hourly", "hour", "date_trunc('hour', created_at, 'UTC')", after="day_counted")}
    )
    SELECT job_id, lease_no, account_id, environment, admitted_at IS NOT NULL AND (
        SELECT true FROM work AS waiting
        WHERE {IS_WAITING} AND waiting.account_id = gone.account_id AND waiting.environment = gone.environment
        LIMIT 1
    ) IS NOT NULL AS is_awaited
    FROM gone
    """)  # noqa: S608
)
