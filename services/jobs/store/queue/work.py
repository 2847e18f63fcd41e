"""Unfinished jobs as workers move them, on PostgreSQL: claims with a fence, and moves that are guarded by it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from services.common.postgres.batching import Batcher
from services.common.postgres.database import Pool, Query, fetch
from services.jobs.domain.claims import (
    NO_BLAME,
    Attempt,
    Blame,
    Candidate,
    Claim,
    Fault,
    NoRoomError,
)
from services.jobs.domain.events import NewEvent
from services.jobs.domain.failures import FailureCode, UnusableReference
from services.jobs.domain.job import Job, Output
from services.jobs.domain.requests import Owner
from services.jobs.domain.states import State, Status
from services.jobs.metrics import COMPLETION_LAG, JOB_ENDED
from services.jobs.store.admission.waiting import SqlWaiting
from services.jobs.store.queue import leases, moves
from services.jobs.store.queue.blame import BLAME, TAKE_OUT
from services.jobs.store.queue.claims import ATTEMPT_COLUMNS, claim_from_row
from services.jobs.store.queue.moving import JOBS_PER_BATCH_MAX, Moves, items_to_json
from services.jobs.store.queue.placing import OPEN_ATTEMPT, candidate_items
from services.jobs.store.queue.turns import CLAIM, Turns
from services.jobs.store.rows import unusable_to_text
from services.jobs.timing import (
    ASIDE_SECONDS_MAX,
    CLAIMS_MAX,
    LEASE_SECONDS,
    PAUSE_SECONDS_MAX,
    SUBMIT_START_SECONDS,
)
from services.upstream.provider import Hint

NOBODY_BUSY: Mapping[Owner, int] = {}
DETAIL_CHARACTERS_MAX = 1_000
_EVENT_FIELDS = ("id", "type", "sequence", "body", "occurred_at")
_Call = tuple[str, Hint]
"""The token of an attempt, and what a callback says of its task."""


class SqlWork:
    """Unfinished jobs as workers move them. A method that takes a claim raises LeaseLostError if another worker has the job.

    Moves of one kind that come together, or in the rest after others, share a commit; each is made, fails or finds its
    lease lost for itself.
    Calls `notify` when there is a new event in the outbox, and `name_moved` with each job that customers see moved. When
    a job ends, the job that waits for its place is admitted at once.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        notify: Callable[[], None] = lambda: None,
        name_moved: Callable[[str], None] = lambda _job_id: None,
        waiting: SqlWaiting | None = None,
        rest_seconds: float = 0.0,
    ) -> None:
        self._pool = pool
        self._waiting = waiting or SqlWaiting(pool)
        self._notify = notify
        self._name_moved = name_moved
        self._turns = Turns()
        self._moves = Moves(pool, rest_seconds=rest_seconds)
        self._wakes = Batcher(
            self._wake,
            items_max=JOBS_PER_BATCH_MAX,
            name="wake_jobs",
            name_of=_unnamed,
            rest_seconds=rest_seconds,
        )

    async def claim(
        self,
        *,
        limit: int,
        lease_seconds: float,
        fetching: bool = False,
        busy: Mapping[Owner, int] = NOBODY_BUSY,
        share_max: int | None = None,
    ) -> list[Claim]:
        """Takes due jobs that nobody holds; accounts take turns, the longest due first. Counts the claims.

        With `fetching`, takes only jobs whose result is to be fetched, otherwise only the others. `busy` says how many
        jobs of each owner are under way; with those, no owner gets more than `share_max`.
        """
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
                leases.RENEW.sql,
                leases.RENEW.bind(
                    job_ids=[claim.job.id for claim in claims],
                    leases=[claim.lease_no for claim in claims],
                    lease_seconds=lease_seconds,
                ),
            )

    async def hand_over(self, claims: Sequence[Claim]) -> None:
        """Lets other workers take jobs at once; those lost meanwhile are left alone."""
        async with self._pool.connection() as connection:
            await connection.execute(
                leases.HAND_OVER.sql,
                leases.HAND_OVER.bind(
                    job_ids=[claim.job.id for claim in claims], leases=[claim.lease_no for claim in claims]
                ),
            )

    async def postpone(
        self, claim: Claim, *, seconds: float, checked: bool = False, awaits_fetch: bool = False
    ) -> None:
        """Lets go of a job until it is due again: at once if a callback woke it after it was claimed.

        `checked` counts a question to the provider. With `awaits_fetch`, the job is claimed by the lane that fetches.
        """
        values = {"seconds": seconds, "checked": int(checked), "awaits_fetch": awaits_fetch}
        await self._moves.make(leases.POSTPONE, claim, wake_no=claim.wake_no, **values)

    async def stall(self, claim: Claim, *, seconds: float, error: str, is_outage: bool) -> None:
        """Lets go of a job whose step failed, until it is due again, and keeps the error.

        An outage of our own does not count as a claim without a move.
        """
        error = error[:DETAIL_CHARACTERS_MAX].replace("\0", "")
        await self._moves.make(leases.STALL, claim, seconds=seconds, error=error, is_outage=is_outage)

    async def open_attempt(self, claim: Claim, *, candidates: Sequence[Candidate], token: str) -> Claim:
        """Moves PENDING to SUBMITTING with a new attempt on record, and keeps the lease.

        The first candidate that has room gets it. Raises NoRoomError if none has; the job is then released.
        """
        # Taken before the statement, so that it ends before the lease that the statement begins.
        submit_until = asyncio.get_running_loop().time() + SUBMIT_START_SECONDS
        row = await self._moves.make(
            OPEN_ATTEMPT,
            claim,
            candidates=candidate_items(candidates),
            token=token,
            lease_seconds=LEASE_SECONDS,
        )
        if row["must_wait"]:
            raise NoRoomError(claim.job.id)
        return _got_on(
            claim,
            State.SUBMITTING,
            attempt=Attempt(**{name: row[name] for name in ATTEMPT_COLUMNS}),
            attempt_age_seconds=0,
            submit_until=submit_until,
        )

    async def take_out(self, attempt: Attempt, *, reason: str) -> None:
        """Takes the credential of an attempt out, unless it has another key by now. Repeating it changes nothing."""
        await fetch(self._pool, TAKE_OUT, name=attempt.credential, key_name=attempt.key_name, reason=reason)

    async def blame(self, attempt: Attempt, fault: Fault, *, failure_class: str) -> None:
        """Puts on record that the route of an attempt failed, where no move says so. Repeating it counts again."""
        await fetch(self._pool, BLAME, route=attempt.route, blames=fault.value, failure_class=failure_class)

    async def renders_started(self, job_id: str) -> int:
        """Returns how many tasks providers have taken for a job."""
        [row] = await fetch(self._pool, moves.COUNT_RENDERS, job_id=job_id)
        return int(row["renders"])

    async def note_stray(self, attempt: Attempt, task_id: str) -> None:
        """Records a task that was started for an attempt. It is a stray if the attempt is closed."""
        await fetch(
            self._pool, leases.NOTE_STRAY, attempt_id=attempt.id, job_id=attempt.job_id, task_id=task_id
        )

    async def drop_attempt(
        self, claim: Claim, *, outcome: str, detail: str, seconds: float, blame: Blame = NO_BLAME
    ) -> None:
        """Closes an attempt of which nothing goes on: back to PENDING, due at once.

        The job does not try the same route again for `seconds`.
        """
        attempt = claim.attempt
        assert attempt is not None
        await self._moves.make(
            moves.DROP_ATTEMPT,
            claim,
            attempt_id=attempt.id,
            outcome=outcome,
            detail=detail[:DETAIL_CHARACTERS_MAX],
            seconds=seconds,
            route=attempt.route,
            credential=attempt.credential,
            key_name=attempt.key_name,
            failure_class=blame.failure_class or outcome,
            blames=blame.fault,
            takes_out=blame.takes_out,
            pause_seconds=min(blame.pause_seconds, PAUSE_SECONDS_MAX),
        )

    async def adopt_task(self, claim: Claim, *, task_id: str, seconds: float, event: NewEvent | None) -> None:
        """Moves SUBMITTING to PROCESSING with the provider's task, due in `seconds`, and writes the event."""
        await self._move_with_event(
            moves.ADOPT_TASK,
            claim,
            event,
            attempt_id=_attempt_id(claim),
            route=_route(claim),
            task_id=task_id,
            seconds=seconds,
            wake_no=claim.wake_no,
        )

    async def note_running(self, claim: Claim, *, started_at: datetime, event: NewEvent | None) -> Claim:
        """Records when a job in PROCESSING was first seen to render, writes the event, and keeps the lease."""
        await self._move_with_event(moves.NOTE_RUNNING, claim, event, started_at=started_at)
        return replace(claim, job=replace(claim.job, started_at=started_at))

    async def keep_output(
        self, claim: Claim, output: Output, *, started_at: datetime, event: NewEvent | None
    ) -> Claim:
        """Moves PROCESSING to STORED, and keeps the lease. The event says that the job renders, if none has said so."""
        await self._move_with_event(
            moves.KEEP_OUTPUT,
            claim,
            event,
            started_at=started_at,
            attempt_id=_attempt_id(claim),
            route=_route(claim),
            rendered_at=claim.rendered_at,
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
        outcome: str = "failed",
        failure_class: str | None = None,
        may_run: bool = False,
        is_charged: bool = False,
        has_answered: bool = False,
        unusable: UnusableReference | None = None,
    ) -> Claim:
        """Moves to FAILING, and keeps the lease. With `may_run` the provider's task is a stray, and possibly charged.

        `is_charged` says that it was rendered, `has_answered` says that the route works: it refused what no other would take.
        """
        values = {
            "route": _route(claim),
            "outcome": outcome,
            "failure_class": failure_class or failure.value,
            "has_answered": has_answered,
            "is_charged": is_charged or may_run,
            "failure": failure.value,
            "unusable": unusable_to_text(unusable),
            "detail": detail[:DETAIL_CHARACTERS_MAX],
            "may_run": may_run,
        }
        await self._moves.make(moves.GIVE_UP, claim, attempt_id=_attempt_id(claim), **values)
        return _got_on(claim, State.FAILING, job=replace(claim.job, failure=failure, unusable=unusable))

    async def finish(self, claim: Claim, job: Job, *, event: NewEvent | None) -> None:
        """Ends a job in one commit: what the customer sees, its usage and the event."""
        ended = await self._move_with_event(
            moves.FINISH,
            claim,
            event,
            status=job.status.value,
            charged=job.charged_micros,
            refunded=job.refunded_micros,
            ended_at=job.ended_at,
        )
        _tell_end(claim, job)
        if ended["is_awaited"]:
            await self._waiting.follow(ended["account_id"], ended["environment"])

    async def wake(self, token: str, hint: Hint) -> bool:
        """Makes the job of an attempt due at once. Returns whether there is such an unfinished attempt.

        The first name of its task is kept, until an authentic one comes. A task that is named for a closed attempt without
        one is a stray.
        """
        return await self._wakes.submit((token, hint))

    async def _wake(self, calls: Sequence[_Call]) -> Sequence[bool]:
        hints: dict[str, Hint] = {}
        for token, hint in calls:
            if token not in hints or (hint.is_authentic and not hints[token].is_authentic):
                hints[token] = hint
        items = [
            {"token": token, "claimed_task_id": hint.task_id, "is_authentic": hint.is_authentic}
            for token, hint in hints.items()
        ]
        rows = await fetch(self._pool, leases.WAKE, items=items_to_json(items), claims_max=CLAIMS_MAX)
        late = {row["token"]: row["late_job_id"] for row in rows}
        for token, job_id in late.items():
            if job_id is not None:
                await self._note_late(token, hints[token], job_id=job_id)
        woken = {token for token, job_id in late.items() if job_id is None}
        return [token in woken for token, _ in calls]

    async def _note_late(self, token: str, hint: Hint, *, job_id: str) -> None:
        await fetch(
            self._pool,
            leases.LATE_CALL,
            token=token,
            job_id=job_id,
            claimed_task_id=hint.task_id,
            is_authentic=hint.is_authentic,
        )

    async def _move_with_event(
        self, query: Query, claim: Claim, event: NewEvent | None, **values: Any
    ) -> Mapping[str, Any]:
        told = {f"event_{name}": event and getattr(event, name) for name in _EVENT_FIELDS}
        row = await self._moves.make(query, claim, **told, **values)
        self._name_moved(claim.job.id)
        if event is not None:
            self._notify()
        return row


def _tell_end(claim: Claim, job: Job) -> None:
    JOB_ENDED[job.status].inc()
    rendered_at = claim.rendered_at or (None if claim.attempt is None else claim.attempt.closed_at)
    if job.status is Status.COMPLETED and job.ended_at is not None and rendered_at is not None:
        COMPLETION_LAG.observe(max(0.0, (job.ended_at - rendered_at).total_seconds()))


def _got_on(claim: Claim, state: State, **changes: Any) -> Claim:
    return replace(claim, state=state, claim_count=1, stalled_seconds=0, last_error=None, **changes)


def _attempt_id(claim: Claim) -> str | None:
    return claim.attempt.id if claim.attempt is not None else None


def _route(claim: Claim) -> str | None:
    return claim.attempt.route if claim.attempt is not None else None


def _unnamed(_call: _Call) -> str:
    return "a callback"  # its token is a secret
