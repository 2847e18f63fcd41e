"""Statements that take, keep or end the lease of an unfinished job, and those that wake it. None moves it."""

from sqlalchemy import text

from services.common.postgres.database import Query
from services.jobs.store.partitions import is_one
from services.jobs.store.queue.items import IS_HELD, held, locked
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

_OPEN_ATTEMPT = "attempts WHERE attempts.id = each.attempt_id AND outcome IS NULL"

POSTPONE = Query(
    text(f"""
    WITH {held("checked int, awaits_fetch boolean, wake_no int, seconds float8")}
    UPDATE work SET check_count = check_count + checked, claim_count = 0, stalled_since = NULL, last_error = NULL,
        awaits_fetch = held.awaits_fetch, lease_until = '-infinity',
        due_at = now() + make_interval(secs => CASE WHEN work.wake_no = held.wake_no THEN seconds ELSE 0 END)
    FROM held WHERE {IS_HELD}
    RETURNING work.job_id, work.lease_no
    """)  # noqa: S608
)

# An outage of our own is no fault of the job: its claims are counted from the first one after the outage.
STALL = Query(
    text(f"""
    WITH {held("seconds float8, error text, is_outage boolean")}
    UPDATE work SET check_count = check_count + 1, last_error = error, lease_until = '-infinity',
        due_at = now() + make_interval(secs => seconds),
        claim_count = CASE WHEN is_outage THEN 0 ELSE claim_count END,
        stalled_since = CASE WHEN is_outage OR claim_count > 1 THEN coalesce(stalled_since, now()) ELSE now() END
    FROM held WHERE {IS_HELD}
    RETURNING work.job_id, work.lease_no
    """)  # noqa: S608
)

# Returns the tokens whose jobs it has woken, and, with their jobs, those of other attempts of which no task was known
# and one is now named: LATE_CALL looks whether it is a stray.
WAKE = Query(
    text(f"""
    WITH called AS MATERIALIZED (
        SELECT attempts.id AS attempt_id, attempts.job_id, item.token, item.claimed_task_id, item.is_authentic,
            coalesce(attempts.task_id, attempts.claimed_task_id) AS known_task_id
        FROM json_to_recordset(CAST(:items AS json)) AS item (token text, claimed_task_id text, is_authentic boolean)
        JOIN attempts ON {is_one("attempts.token", "item.token")}
    ), {locked("held", of="called", by="job_id", row="work WHERE work.job_id = each.job_id")},
    {locked("attempt", of="called", by="attempt_id", after="held", row=_OPEN_ATTEMPT)},
    named AS (
        UPDATE attempts SET is_claim_authentic = is_claim_authentic OR is_authentic,
            claimed_task_id = CASE WHEN is_authentic AND NOT is_claim_authentic THEN attempt.claimed_task_id
                ELSE coalesce(attempts.claimed_task_id, attempt.claimed_task_id) END
        FROM attempt WHERE {is_one("attempts.id", "attempt.attempt_id")}
        RETURNING attempts.job_id, attempts.token
    ), woken AS (
        UPDATE work SET wake_no = wake_no + 1,
            due_at = CASE WHEN claim_count < :claims_max THEN now() ELSE due_at END
        FROM named WHERE {is_one("work.job_id", "named.job_id")}
        RETURNING named.token
    )
    SELECT token, CAST(NULL AS text) AS late_job_id FROM woken
    UNION ALL SELECT token, job_id FROM called
    WHERE claimed_task_id IS NOT NULL AND known_task_id IS NULL AND token NOT IN (SELECT token FROM named)
    """)  # noqa: S608
)

# A closed attempt has no job to wake: what its callback names was started and is a stray.
LATE_CALL = Query(
    text(f"""
    WITH named AS (
        UPDATE attempts SET claimed_task_id = :claimed_task_id, is_claim_authentic = :is_authentic,
            cost_micros = quoted_micros
        WHERE token = :token AND outcome IS NOT NULL AND coalesce(task_id, claimed_task_id) IS NULL
        RETURNING {STRAY_COLUMNS}
    ), {strayed("named", reason="late_callback")}
    SELECT id FROM named
    """)  # noqa: S608
)

NOTE_STRAY = Query(
    text(f"""
    WITH noted AS (
        UPDATE attempts SET claimed_task_id = :task_id, is_claim_authentic = true,
            cost_micros = CASE WHEN outcome IS NULL THEN cost_micros ELSE quoted_micros END
        WHERE id = :attempt_id AND task_id IS DISTINCT FROM :task_id
        RETURNING {STRAY_COLUMNS}, outcome
    ), {strayed("noted", reason="late_answer", condition="outcome IS NOT NULL")}
    SELECT id FROM noted
    """)  # noqa: S608
)
