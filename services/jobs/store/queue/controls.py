"""What operators do to unfinished jobs, in SQL. Each change is one statement, its audit entry included."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from services.common.audit.note import AuditNote
from services.common.postgres.database import Pool, Query, fetch
from services.jobs.domain.failures import FailureCode
from services.jobs.domain.states import GIVEN_UP_BY_OPERATORS, State, Status
from services.jobs.store.admission.waiting import IS_WAITING
from services.jobs.store.lock_order import once_locked
from services.jobs.store.partitions import has_id, job_of
from services.jobs.store.queue.claims import GOT_ON
from services.jobs.store.queue.strays import STRAY_COLUMNS, strayed


@dataclass(frozen=True, kw_only=True)
class UnfinishedJob:
    """A job that has not ended, as operators see it."""

    job_id: str
    account_id: str
    environment: str
    model: str
    state: State
    state_since: datetime
    age_seconds: int
    """In its state, by the database clock."""
    created_at: datetime
    due_at: datetime | None
    """None: the job waits for a place at a provider."""
    check_count: int
    route: str | None
    """Of the last attempt."""
    task_id: str | None
    claim_count: int
    """In a row, without getting on."""
    stalled_seconds: int | None
    """Since the first of them failed."""
    last_error: str | None


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where a job is, for an operator who wanted to change it."""

    status: Status
    state: State | None
    """None: it has ended."""
    failed_by_operator: bool


FAIL_ACTION = "job.fail"
RECHECK_ACTION = "job.recheck"

_AGE_SECONDS_MAX = 10**9
"""No job is that old, and not much further PostgreSQL's calendar ends."""

STALLED_SECONDS = 10
"""A job that has been tried so long without getting on does not move."""
STALLED_MAX = 10_000
"""As far as they are counted."""

_STALLED = f"stalled_since <= now() - interval '{STALLED_SECONDS} s'"

_UNFINISHED = Query(
    text(f"""
    SELECT work.job_id, jobs.account_id, jobs.environment, model, state, state_since, created_at, check_count,
        nullif(due_at, 'infinity') AS due_at,
        CAST(extract(epoch FROM now() - state_since) AS bigint) AS age_seconds, latest.route, latest.task_id,
        claim_count, CAST(extract(epoch FROM now() - stalled_since) AS bigint) AS stalled_seconds, last_error
    FROM work
    CROSS JOIN LATERAL {job_of("work.job_id")} AS jobs
    LEFT JOIN LATERAL (
        SELECT route, task_id FROM attempts WHERE attempts.job_id = work.job_id ORDER BY number DESC LIMIT 1
    ) AS latest ON true
    WHERE state_since <= now() - make_interval(secs => :age_seconds_min)
        AND (state_since, work.job_id) > (CAST(:after_moment AS timestamptz), CAST(:after_id AS text))
        AND (CAST(:state AS text) IS NULL OR state = :state) AND (NOT :stalled OR {_STALLED})
    ORDER BY state_since, work.job_id LIMIT :most
    """)  # noqa: S608
)

_COUNT_STALLED = Query(
    text(f"SELECT count(*) AS jobs FROM (SELECT FROM work WHERE {_STALLED} LIMIT {STALLED_MAX}) AS stalled")  # noqa: S608
)

_NOTED = """noted AS (
        INSERT INTO audit (actor, action, subject_id, reason, details)
        SELECT :actor, :action, job_id, :reason, jsonb_build_object('state', state) FROM moved
    )"""
_ORIGINS = ", ".join(f"'{state.value}'" for state in sorted(GIVEN_UP_BY_OPERATORS))

# The lease number goes up, so a worker that has the job finds that it no longer does, and changes nothing.
_FAIL = Query(
    text(f"""
    WITH known AS (
        SELECT job_id, state FROM work WHERE job_id = :job_id AND state IN ({_ORIGINS}) FOR UPDATE
    ), moved AS (
        UPDATE work SET state = 'failing', state_since = now(), {GOT_ON}, due_at = now(),
            lease_no = lease_no + 1, lease_until = '-infinity'
        FROM known WHERE work.job_id = known.job_id
        RETURNING known.job_id, known.state
    ), closed AS (
        UPDATE attempts SET outcome = 'failed', detail = 'operator', closed_at = now(),
            cost_micros = CASE WHEN coalesce(task_id, claimed_task_id) IS NOT NULL THEN quoted_micros END
        FROM moved WHERE attempts.job_id = moved.job_id AND outcome IS NULL
        RETURNING {STRAY_COLUMNS}
    ), {strayed("closed", reason="operator")}, named AS (
        UPDATE jobs SET failure = :failure FROM moved
        WHERE {has_id("jobs.id", ":job_id")} AND id = moved.job_id AND {once_locked("closed")}
    ), {_NOTED}
    SELECT job_id FROM moved
    """)  # noqa: S608
)

_RECHECK = Query(
    text(f"""
    WITH moved AS (
        UPDATE work SET due_at = CASE WHEN {IS_WAITING} THEN due_at ELSE now() END, wake_no = wake_no + 1,
            {GOT_ON}
        WHERE job_id = :job_id
        RETURNING job_id, state
    ), {_NOTED}
    SELECT job_id FROM moved
    """)  # noqa: S608
)

_STANDING = Query(
    text(f"""
    SELECT status, state,
        EXISTS (SELECT FROM audit WHERE subject_id = jobs.id AND action = :fail_action) AS failed_by_operator
    FROM jobs LEFT JOIN work ON work.job_id = jobs.id WHERE {has_id("jobs.id", ":job_id")}
    """)  # noqa: S608
)


class SqlControls:
    """What operators do to unfinished jobs. Every change leaves an audit entry in the same commit."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def unfinished(
        self,
        *,
        state: State | None,
        age_seconds_min: int,
        stalled: bool,
        after: tuple[datetime, str],
        limit: int,
    ) -> list[UnfinishedJob]:
        """Returns the unfinished jobs after `after`, at least `age_seconds_min` in their state, the longest first.

        `stalled`: only those that do not move.
        """
        rows = await fetch(
            self._pool,
            _UNFINISHED,
            state=state and state.value,
            age_seconds_min=min(age_seconds_min, _AGE_SECONDS_MAX),
            stalled=stalled,
            after_moment=after[0],
            after_id=after[1],
            most=limit,
        )
        return [UnfinishedJob(**{**row, "state": State(row["state"])}) for row in rows]

    async def stalled_count(self) -> int:
        """Returns how many jobs do not move, STALLED_MAX at the most."""
        [row] = await fetch(self._pool, _COUNT_STALLED)
        return int(row["jobs"])

    async def fail(self, job_id: str, *, failure: FailureCode, note: AuditNote) -> bool:
        """Moves a job from a state of GIVEN_UP_BY_OPERATORS to FAILING, whichever worker holds it, and makes it due.

        Returns whether the job was moved.
        """
        changes = {"job_id": job_id, "failure": failure.value, "action": FAIL_ACTION}
        return bool(await fetch(self._pool, _FAIL, **changes, **vars(note)))

    async def recheck(self, job_id: str, *, note: AuditNote) -> bool:
        """Makes an unfinished job due at once. Returns whether there is one."""
        return bool(await fetch(self._pool, _RECHECK, job_id=job_id, action=RECHECK_ACTION, **vars(note)))

    async def standing(self, job_id: str) -> Standing | None:
        """Returns where a job is."""
        rows = await fetch(self._pool, _STANDING, job_id=job_id, fail_action=FAIL_ACTION)
        if not rows:
            return None
        state = rows[0]["state"]
        return Standing(
            status=Status(rows[0]["status"]),
            state=None if state is None else State(state),
            failed_by_operator=rows[0]["failed_by_operator"],
        )
