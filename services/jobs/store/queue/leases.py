"""Statements that take, keep or end the lease of an unfinished job, and those that wake it. None moves it."""

from sqlalchemy import text

from services.common.postgres.database import Query
from services.jobs.store.lock_order import once_locked
from services.jobs.store.queue.strays import STRAY_COLUMNS, strayed

RENEW = Query(
    text("""
    WITH held AS MATERIALIZED (
        SELECT work.job_id
        FROM unnest(CAST(:job_ids AS text[]), CAST(:leases AS bigint[])) AS claimed (job_id, lease_no)
        JOIN work ON work.job_id = claimed.job_id AND work.lease_no = claimed.lease_no
        ORDER BY work.job_id FOR NO KEY UPDATE OF work
    )
    UPDATE work SET lease_until = now() + make_interval(secs => :lease_seconds)
    FROM held WHERE work.job_id = held.job_id
    """)
)

# It is still due. That it was claimed is not held against it: nothing went wrong with it.
HAND_OVER = Query(
    text("""
    WITH held AS MATERIALIZED (
        SELECT work.job_id
        FROM unnest(CAST(:job_ids AS text[]), CAST(:leases AS bigint[])) AS claimed (job_id, lease_no)
        JOIN work ON work.job_id = claimed.job_id AND work.lease_no = claimed.lease_no
        ORDER BY work.job_id FOR NO KEY UPDATE OF work
    )
    UPDATE work SET lease_until = '-infinity', claim_count = greatest(claim_count - 1, 0)
    FROM held WHERE work.job_id = held.job_id
    """)
)

POSTPONE = Query(
    text("""
    UPDATE work SET check_count = check_count + :checked, claim_count = 0, stalled_since = NULL, last_error = NULL,
        awaits_fetch = :awaits_fetch, lease_until = '-infinity',
        due_at = now() + make_interval(secs => CASE WHEN wake_no = :wake_no THEN :seconds ELSE 0 END)
    WHERE job_id = :job_id AND lease_no = :lease_no
    RETURNING job_id
    """)
)

# An outage of our own is no fault of the job: its claims are counted from the first one after the outage.
STALL = Query(
    text("""
    UPDATE work SET check_count = check_count + 1, last_error = :error, lease_until = '-infinity',
        due_at = now() + make_interval(secs => :seconds),
        claim_count = CASE WHEN :is_outage THEN 0 ELSE claim_count END,
        stalled_since = CASE WHEN :is_outage OR claim_count > 1 THEN coalesce(stalled_since, now()) ELSE now() END
    WHERE job_id = :job_id AND lease_no = :lease_no
    RETURNING job_id
    """)
)

# A closed attempt has no job to wake: what its callback names was started and is a stray. A job that has ended has no
# work row to lock.
WAKE = Query(
    text(f"""
    WITH held AS MATERIALIZED (
        SELECT work.job_id FROM work WHERE job_id = (SELECT job_id FROM attempts WHERE token = :token)
        FOR NO KEY UPDATE
    ), known AS (
        UPDATE attempts SET claimed_task_id = coalesce(claimed_task_id, :claimed_task_id)
        WHERE token = :token AND (outcome IS NULL OR coalesce(task_id, claimed_task_id) IS NULL)
            AND {once_locked("held")}
        RETURNING {STRAY_COLUMNS}, outcome
    ), {strayed("known", reason="late_callback", condition="outcome IS NOT NULL")}
    UPDATE work SET wake_no = wake_no + 1,
        due_at = CASE WHEN claim_count < :claims_max THEN now() ELSE due_at END
    FROM known WHERE work.job_id = known.job_id AND known.outcome IS NULL
    RETURNING work.job_id
    """)  # noqa: S608
)

NOTE_STRAY = Query(
    text(f"""
    WITH noted AS (
        UPDATE attempts SET claimed_task_id = :task_id WHERE id = :attempt_id AND task_id IS DISTINCT FROM :task_id
        RETURNING {STRAY_COLUMNS}, outcome
    ), {strayed("noted", reason="late_answer", condition="outcome IS NOT NULL")}
    SELECT id FROM noted
    """)  # noqa: S608
)
