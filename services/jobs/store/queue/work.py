"""Unfinished jobs in SQL: claims with a fence, and one guarded statement, one commit, for each move.

These statements are written as text because each is several changes in one: read top to bottom, as they run.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import text

from services.common.postgres.database import Pool, Query
from services.jobs.domain.claims import Attempt, Claim, LeaseLostError, Route
from services.jobs.domain.events import NewEvent
from services.jobs.domain.failures import FailureCode, UnusableReference
from services.jobs.domain.job import Job, Output
from services.jobs.domain.requests import Owner
from services.jobs.domain.states import NEXT, State
from services.jobs.store.admission.waiting import SqlWaiting, somebody_waits
from services.jobs.store.lock_order import once_locked
from services.jobs.store.queue.claims import ATTEMPT_COLUMNS, GOT_ON, claim_from_row
from services.jobs.store.queue.strays import STRAY_COLUMNS, strayed
from services.jobs.store.queue.turns import CLAIM, Turns
from services.jobs.store.rows import unusable_to_text
from services.jobs.timing import (
    ASIDE_SECONDS_MAX,
    CLAIMS_MAX,
    LEASE_SECONDS,
    SUBMIT_START_SECONDS,
)

NOBODY_BUSY: Mapping[Owner, int] = {}


DETAIL_CHARACTERS_MAX = 1_000

_EVENT_FIELDS = ("id", "type", "sequence", "body", "occurred_at")

_RENEW = Query(
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

_LET_GO = "lease_until = '-infinity', due_at = now() + make_interval(secs => :seconds)"
_LET_GO_UNLESS_WOKEN = """lease_until = '-infinity',
            due_at = now() + make_interval(secs => CASE WHEN wake_no = :wake_no THEN :seconds ELSE 0 END)"""


def _moved(to: State, *also: str) -> str:
    """Returns the guarded move of a work row: from the states that may precede `to`, under the caller's lease."""
    origins = ", ".join(f"'{origin.value}'" for origin, targets in NEXT.items() if to in targets)
    due = also or ("due_at = least(due_at, now())",)  # a claim may have set the job aside
    changes = ", ".join((f"state = '{to.value}', state_since = now(), {GOT_ON}", *due))
    return f"""moved AS (
        UPDATE work SET {changes}
        WHERE job_id = :job_id AND lease_no = :lease_no AND state IN ({origins})
        RETURNING job_id
    )"""  # noqa: S608


def _told(changed: str) -> str:
    """Returns the writing of the event about the one job of a part of the statement, if there is an event."""
    return f"""told AS (
        INSERT INTO outbox (event_id, job_id, account_id, environment, contract, type, sequence, target_url, body,
            occurred_at)
        SELECT :event_id, id, account_id, environment, contract, :event_type, :event_sequence,
            coalesce(callback_url, ''), :event_body, :event_occurred_at
        FROM {changed} WHERE CAST(:event_id AS text) IS NOT NULL
    )"""  # noqa: S608


_POSTPONE = Query(
    text(f"""
    UPDATE work SET check_count = check_count + :checked, claim_count = 0, stalled_since = NULL, last_error = NULL,
        awaits_fetch = :awaits_fetch, {_LET_GO_UNLESS_WOKEN}
    WHERE job_id = :job_id AND lease_no = :lease_no
    RETURNING job_id
    """)  # noqa: S608
)

# What an outage of our own did is no fault of the job: its claims are counted from the first one after it.
_STALL = Query(
    text(f"""
    UPDATE work SET check_count = check_count + 1, last_error = :error, {_LET_GO},
        claim_count = CASE WHEN :is_outage THEN 0 ELSE claim_count END,
        stalled_since = CASE WHEN :is_outage OR claim_count > 1 THEN coalesce(stalled_since, now()) ELSE now() END
    WHERE job_id = :job_id AND lease_no = :lease_no
    RETURNING job_id
    """)  # noqa: S608
)

_LEASED_ANEW = """due_at = least(due_at, now()),
            lease_until = greatest(lease_until, now() + make_interval(secs => :lease_seconds))"""

_OPEN_ATTEMPT = Query(
    text(f"""
    WITH {_moved(State.SUBMITTING, _LEASED_ANEW)}, next AS (
        SELECT moved.job_id, (SELECT coalesce(max(number), 0) + 1 FROM attempts WHERE job_id = :job_id) AS number
        FROM moved
    )
    INSERT INTO attempts (id, job_id, number, route, upstream_model, token, lease_no)
    SELECT job_id || '-' || number, job_id, number, :route, :upstream_model, :token, :lease_no FROM next
    RETURNING {", ".join(ATTEMPT_COLUMNS)}
    """)  # noqa: S608
)

_NOTE_STRAY = Query(
    text(f"""
    WITH noted AS (
        UPDATE attempts SET claimed_task_id = :task_id WHERE id = :attempt_id AND task_id IS DISTINCT FROM :task_id
        RETURNING {STRAY_COLUMNS}, outcome
    ), {strayed("noted", reason="late_answer", condition="outcome IS NOT NULL")}
    SELECT id FROM noted
    """)  # noqa: S608
)

_DROP_ATTEMPT = Query(
    text(f"""
    WITH {_moved(State.PENDING, _LET_GO)}, closed AS (
        UPDATE attempts SET outcome = :outcome, detail = :detail, closed_at = now()
        FROM moved WHERE id = :attempt_id
        RETURNING {STRAY_COLUMNS}
    ), {strayed("closed", reason="dropped")}
    SELECT job_id FROM moved
    """)  # noqa: S608
)

_ADOPT_TASK = Query(
    text(f"""
    WITH {_moved(State.PROCESSING, _LET_GO_UNLESS_WOKEN)}, named AS (
        UPDATE attempts SET task_id = :task_id FROM moved WHERE id = :attempt_id RETURNING id
    ), taken AS (
        UPDATE jobs SET status = 'processing' FROM moved WHERE id = moved.job_id AND {once_locked("named")}
        RETURNING jobs.*
    ), {_told("taken")}
    SELECT job_id FROM moved
    """)  # noqa: S608
)

_NOTE_RUNNING = Query(
    text(f"""
    WITH held AS (
        SELECT job_id FROM work WHERE job_id = :job_id AND lease_no = :lease_no AND state = 'processing'
        FOR UPDATE
    ), started AS (
        UPDATE jobs SET started_at = :started_at FROM held WHERE id = held.job_id AND started_at IS NULL
        RETURNING jobs.*
    ), {_told("started")}
    SELECT job_id FROM held
    """)  # noqa: S608
)

_KEEP_OUTPUT = Query(
    text(f"""
    WITH {_moved(State.STORED)}, closed AS (
        UPDATE attempts SET outcome = 'succeeded', closed_at = now() FROM moved WHERE id = :attempt_id RETURNING id
    ), kept AS (
        UPDATE jobs SET video_url = :video_url, thumbnail_url = :thumbnail_url, last_frame_url = :last_frame_url,
            output_seconds = :output_seconds, started_at = coalesce(started_at, :started_at)
        FROM moved WHERE id = moved.job_id AND {once_locked("closed")}
        RETURNING jobs.*
    ), {_told("kept")}
    SELECT job_id FROM moved
    """)  # noqa: S608
)

_GIVE_UP = Query(
    text(f"""
    WITH {_moved(State.FAILING)}, closed AS (
        UPDATE attempts SET outcome = 'failed', detail = :detail, closed_at = now()
        FROM moved WHERE id = :attempt_id AND outcome IS NULL
        RETURNING {STRAY_COLUMNS}
    ), {strayed("closed", reason="given_up", condition="CAST(:may_run AS boolean)")}, named AS (
        UPDATE jobs SET failure = :failure, unusable = :unusable FROM moved WHERE id = moved.job_id AND {once_locked("closed")}
    )
    SELECT job_id FROM moved
    """)  # noqa: S608
)


def _counted(table: str, period: str, of_creation: str, *, condition: str = "true") -> str:
    """Returns the addition of an ended job to a roll-up."""
    return f"""
        INSERT INTO {table} AS usage (account_id, environment, {period}, model, completed_jobs, failed_jobs,
            charged_micros, refunded_micros)
        SELECT account_id, environment, {of_creation}, model, completed, 1 - completed,
            charged_micros + refunded_micros, refunded_micros
        FROM ended WHERE {condition}
        ON CONFLICT (account_id, environment, {period}, model) DO UPDATE SET
            completed_jobs = usage.completed_jobs + excluded.completed_jobs,
            failed_jobs = usage.failed_jobs + excluded.failed_jobs,
            charged_micros = usage.charged_micros + excluded.charged_micros,
            refunded_micros = usage.refunded_micros + excluded.refunded_micros
        RETURNING usage.account_id
    """  # noqa: S608


FINISH = Query(
    text(f"""
    WITH gone AS (
        DELETE FROM work WHERE job_id = :job_id AND lease_no = :lease_no
        RETURNING job_id, account_id, environment, admitted_at
    ), ended AS (
        UPDATE jobs SET status = :status, charged_micros = :charged, refunded_micros = :refunded,
            ended_at = :ended_at
        FROM gone WHERE id = gone.job_id
        RETURNING jobs.*, CAST(status = 'completed' AS int) AS completed
    ), day_counted AS (
        {_counted("usage_daily", "day", "CAST(created_at AT TIME ZONE 'UTC' AS date)")}
    ), hour_counted AS (
        {_counted("usage_hourly", "hour", "date_trunc('hour', created_at, 'UTC')", condition=once_locked("day_counted"))}
    ), {_told("ended")}
    SELECT account_id, environment, admitted_at IS NOT NULL AND {somebody_waits("gone")} AS is_awaited
    FROM gone
    """)  # noqa: S608
)

# A closed attempt has no job to wake; what its callback names was started and is nobody's. A job that has ended has no
# work to lock.
_WAKE = Query(
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


class SqlWork:
    """The port Work, on PostgreSQL. Rings when an event lies in the outbox, and names jobs that customers see moved.

    Whoever waits for the place of a job that ends is let in at once.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        notify: Callable[[], None] = lambda: None,
        name_moved: Callable[[str], None] = lambda _job_id: None,
        waiting: SqlWaiting | None = None,
    ) -> None:
        self._pool = pool
        self._waiting = waiting or SqlWaiting(pool)
        self._notify = notify
        self._name_moved = name_moved
        self._turns = Turns()

    async def claim(
        self,
        *,
        limit: int,
        lease_seconds: float,
        fetching: bool = False,
        busy: Mapping[Owner, int] = NOBODY_BUSY,
        share_max: int | None = None,
    ) -> list[Claim]:
        """Takes due jobs that nobody holds; accounts take turns, the longest due first. The claims are counted."""
        bound = self._turns.bound(
            fetching=fetching,
            busy=busy,
            share_max=limit if share_max is None else share_max,
            most=limit,
            lease_seconds=lease_seconds,
            claims_max=CLAIMS_MAX,
            aside_seconds=ASIDE_SECONDS_MAX,
        )
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(CLAIM.sql, bound)).fetchall()
        self._turns.note(rows, fetching=fetching)
        return [claim_from_row(row) for row in rows]

    async def renew(self, claims: Sequence[Claim], *, lease_seconds: float) -> None:
        """Holds on to jobs; those lost meanwhile are left alone."""
        async with self._pool.connection() as connection:
            await connection.execute(
                _RENEW.sql,
                _RENEW.bind(
                    job_ids=[claim.job.id for claim in claims],
                    leases=[claim.lease_no for claim in claims],
                    lease_seconds=lease_seconds,
                ),
            )

    async def postpone(
        self, claim: Claim, *, seconds: float, checked: bool = False, awaits_fetch: bool = False
    ) -> None:
        """Lets go of a job until it is due again: at once if a callback woke it after it was claimed."""
        values = {"seconds": seconds, "checked": int(checked), "awaits_fetch": awaits_fetch}
        await self._move(_POSTPONE, claim, wake_no=claim.wake_no, **values)

    async def stall(self, claim: Claim, *, seconds: float, error: str, is_outage: bool) -> None:
        """Lets go of a job whose step failed, until it is due again, and keeps what it failed with."""
        error = error[:DETAIL_CHARACTERS_MAX].replace("\0", "")
        await self._move(_STALL, claim, seconds=seconds, error=error, is_outage=is_outage)

    async def open_attempt(self, claim: Claim, *, route: Route, token: str) -> Claim:
        """Moves PENDING to SUBMITTING with a new attempt on record, and keeps the lease."""
        # Taken before the statement, so that it ends before the lease that the statement begins.
        submit_until = asyncio.get_running_loop().time() + SUBMIT_START_SECONDS
        row = await self._move(
            _OPEN_ATTEMPT,
            claim,
            route=route.name,
            upstream_model=route.upstream_model,
            token=token,
            lease_seconds=LEASE_SECONDS,
        )
        return _got_on(
            claim,
            State.SUBMITTING,
            attempt=Attempt(**row),
            attempt_age_seconds=0,
            submit_until=submit_until,
        )

    async def note_stray(self, attempt_id: str, task_id: str) -> None:
        """Puts on record what was started for an attempt; it is a stray when the attempt is closed."""
        await self._execute(_NOTE_STRAY, attempt_id=attempt_id, task_id=task_id)

    async def drop_attempt(self, claim: Claim, *, outcome: str, detail: str, seconds: float) -> None:
        """Closes an attempt that surely started nothing: SUBMITTING to PENDING, due in `seconds`."""
        detail = detail[:DETAIL_CHARACTERS_MAX]
        attempt_id = _attempt_id(claim)
        await self._move(
            _DROP_ATTEMPT, claim, attempt_id=attempt_id, outcome=outcome, detail=detail, seconds=seconds
        )

    async def adopt_task(self, claim: Claim, *, task_id: str, seconds: float, event: NewEvent | None) -> None:
        """Moves SUBMITTING to PROCESSING with the provider's task, due in `seconds`, and tells of it."""
        await self._tell(
            _ADOPT_TASK,
            claim,
            event,
            attempt_id=_attempt_id(claim),
            task_id=task_id,
            seconds=seconds,
            wake_no=claim.wake_no,
        )

    async def note_running(self, claim: Claim, *, started_at: datetime, event: NewEvent | None) -> Claim:
        """Puts on record when a job in PROCESSING was first seen to render, tells of it, and keeps the lease."""
        await self._tell(_NOTE_RUNNING, claim, event, started_at=started_at)
        return replace(claim, job=replace(claim.job, started_at=started_at))

    async def keep_output(
        self, claim: Claim, output: Output, *, started_at: datetime, event: NewEvent | None
    ) -> Claim:
        """Moves PROCESSING to STORED, and keeps the lease. The event tells that the job renders, if none has."""
        await self._tell(
            _KEEP_OUTPUT,
            claim,
            event,
            started_at=started_at,
            attempt_id=_attempt_id(claim),
            video_url=output.video_url,
            thumbnail_url=output.thumbnail_url,
            last_frame_url=output.last_frame_url,
            output_seconds=output.duration_seconds,
        )
        return _got_on(claim, State.STORED, job=replace(claim.job, output=output, started_at=started_at))

    async def give_up(
        self,
        claim: Claim,
        *,
        failure: FailureCode,
        detail: str,
        may_run: bool = False,
        unusable: UnusableReference | None = None,
    ) -> Claim:
        """Moves to FAILING, and keeps the lease. With `may_run` the provider's task, if one is known, is a stray."""
        values = {
            "failure": failure.value,
            "unusable": unusable_to_text(unusable),
            "detail": detail[:DETAIL_CHARACTERS_MAX],
            "may_run": may_run,
        }
        await self._move(_GIVE_UP, claim, attempt_id=_attempt_id(claim), **values)
        return _got_on(claim, State.FAILING, job=replace(claim.job, failure=failure, unusable=unusable))

    async def finish(self, claim: Claim, job: Job, *, event: NewEvent | None) -> None:
        """Ends a job in one transaction: what the customer sees, usage, the event."""
        ended = await self._tell(
            FINISH,
            claim,
            event,
            status=job.status.value,
            charged=job.charged_micros,
            refunded=job.refunded_micros,
            ended_at=job.ended_at,
        )
        if ended["is_awaited"]:
            await self._waiting.follow(ended["account_id"], ended["environment"])

    async def wake(self, token: str, *, claimed_task_id: str | None) -> bool:
        """Makes the job of an attempt due at once. Returns whether there is such an unfinished attempt."""
        return bool(
            await self._execute(_WAKE, token=token, claimed_task_id=claimed_task_id, claims_max=CLAIMS_MAX)
        )

    async def _tell(
        self, query: Query, claim: Claim, event: NewEvent | None, **values: Any
    ) -> Mapping[str, Any]:
        told = {f"event_{name}": event and getattr(event, name) for name in _EVENT_FIELDS}
        row = await self._move(query, claim, **told, **values)
        self._name_moved(claim.job.id)
        if event is not None:
            self._notify()
        return row

    async def _move(self, query: Query, claim: Claim, **values: Any) -> Mapping[str, Any]:
        rows = await self._execute(query, job_id=claim.job.id, lease_no=claim.lease_no, **values)
        if not rows:
            raise LeaseLostError(claim.job.id)
        return rows[0]

    async def _execute(self, query: Query, **values: Any) -> list[dict[str, Any]]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(query.sql, query.bind(**values))
            return await cursor.fetchall()


def _got_on(claim: Claim, state: State, **changes: Any) -> Claim:
    return replace(claim, state=state, claim_count=1, stalled_seconds=0, last_error=None, **changes)


def _attempt_id(claim: Claim) -> str | None:
    return claim.attempt.id if claim.attempt is not None else None
