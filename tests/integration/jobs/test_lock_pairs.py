"""Two sessions go through every pair of moves of one job, the first stopped wherever it holds a row: none ends in a circle."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from services.common.audit.note import AuditNote
from services.common.clock import utc_now
from services.common.errors import ServiceError
from services.common.postgres.database import Pool, open_pool
from services.jobs.domain.claims import Attempt, Claim, LeaseLostError
from services.jobs.domain.failures import FailureCode
from services.jobs.domain.states import Status
from services.jobs.store.deletions import SqlDeletions
from services.jobs.store.queue.controls import SqlControls
from services.jobs.store.queue.withdrawals import SqlWithdrawals
from services.jobs.store.queue.work import SqlWork
from services.jobs.store.refunds import Refund, SqlRefunds, WantedRefund
from services.jobs.store.repairs import SqlRepairs
from services.jobs.store.retention import SqlRetention
from tests.conftest import MakeDatabase
from tests.integration.jobs.conftest import a_job, store_jobs
from tests.integration.jobs.test_work_store import OUTPUT, ROUTE
from tests.integration.jobs.world import said

NOTE = AuditNote(actor="tests", reason="pairs")
LATER: dict[str, Any] = {"action": "job.settle", "note": NOTE}
STOPS = ("work", "attempts", "jobs", "refunds")
"""Tables whose row the first session has just locked when it is stopped."""
GATE = """
    CREATE FUNCTION stop_at_gate() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF current_setting('gate.closed_at', true) = TG_TABLE_NAME THEN
            PERFORM pg_advisory_xact_lock_shared(7, 7);
        END IF;
        RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
    END $$
"""
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'"
Move = Callable[[Pool, Claim], Coroutine[Any, Any, object]]


def _refund(claim: Claim) -> Refund:
    return Refund(refund_id=f"{claim.job.id}-r", job_id=claim.job.id, amount_micros=1, reason="x")


def _token(claim: Claim) -> str:
    assert claim.attempt is not None
    return claim.attempt.token


def _attempt(claim: Claim) -> Attempt:
    assert claim.attempt is not None
    return claim.attempt


ANY_TIME: dict[str, Move] = {
    "wake": lambda pool, claim: SqlWork(pool).wake(_token(claim), said("cgt-2")),
    "note_stray": lambda pool, claim: SqlWork(pool).note_stray(_attempt(claim), "cgt-3"),
    "renew": lambda pool, claim: SqlWork(pool).renew([claim], lease_seconds=60),
    "give_up": lambda pool, claim: SqlWork(pool).give_up(
        claim, failure=FailureCode.TIMEOUT, detail="", may_run=True
    ),
    "fail": lambda pool, claim: SqlControls(pool).fail(claim.job.id, failure=FailureCode.TIMEOUT, note=NOTE),
    "settle": lambda pool, claim: SqlRepairs(pool).give_up(
        claim.job.id, failure=FailureCode.TIMEOUT, **LATER
    ),
    "recheck": lambda pool, claim: SqlControls(pool).recheck(claim.job.id, note=NOTE),
}
SUBMITTING: dict[str, Move] = ANY_TIME | {
    "drop_attempt": lambda pool, claim: SqlWork(pool).drop_attempt(
        claim, outcome="busy", detail="", seconds=0
    ),
    "adopt_task": lambda pool, claim: SqlWork(pool).adopt_task(claim, task_id="cgt-1", seconds=0, event=None),
}
PROCESSING: dict[str, Move] = ANY_TIME | {
    "postpone": lambda pool, claim: SqlWork(pool).postpone(claim, seconds=0),
    "note_running": lambda pool, claim: SqlWork(pool).note_running(claim, started_at=utc_now(), event=None),
    "keep_output": lambda pool, claim: SqlWork(pool).keep_output(
        claim, OUTPUT, started_at=utc_now(), event=None
    ),
    "seize": lambda pool, claim: SqlWithdrawals(pool).steal_lease(claim.job.id, lease_seconds=60),
}
STORED: dict[str, Move] = ANY_TIME | {
    "finish": lambda pool, claim: SqlWork(pool).finish(claim, _ended(claim), event=None),
    "hurry": lambda pool, claim: SqlRepairs(pool).hurry(claim.job.id, **LATER),
}
COMPLETED: dict[str, Move] = {
    "wake": ANY_TIME["wake"],
    "note_stray": ANY_TIME["note_stray"],
    "register": lambda pool, claim: SqlRefunds(pool).register(
        WantedRefund(refund_id=f"{claim.job.id}-more", job_id=claim.job.id, amount_micros=1, note=NOTE)
    ),
    "apply": lambda pool, claim: SqlRefunds(pool).apply(_refund(claim).refund_id, job_id=claim.job.id),
    "note_refund": lambda pool, claim: SqlRepairs(pool).note_refund(
        replace(_refund(claim), refund_id=f"{claim.job.id}-more"), **LATER
    ),
    "waive": lambda pool, claim: SqlRepairs(pool).waive(claim.job.id, **LATER),
    "delete_content": lambda pool, claim: SqlRetention(pool).delete_content([claim.job]),
    "delete": lambda pool, claim: SqlDeletions(pool).register(claim.job, note=NOTE),
    "note_media_deleted": lambda pool, claim: SqlRetention(pool).note_media_deleted([claim.job]),
}
STAGES = {"submitting": SUBMITTING, "processing": PROCESSING, "stored": STORED, "completed": COMPLETED}


def _ended(claim: Claim) -> Any:
    charged = claim.job.reserved_micros
    return replace(claim.job, status=Status.COMPLETED, charged_micros=charged, ended_at=utc_now())


class Sessions:
    """A database with a gate, and two sessions that are led through it."""

    def __init__(self, first: Pool, second: Pool, control: psycopg.AsyncConnection[Any]) -> None:
        self._first, self._second, self._control = first, second, control
        self._jobs = 0

    async def job_at(self, stage: str) -> Claim:
        """Returns a new job that has got so far."""
        self._jobs += 1
        work, job = SqlWork(self._second), a_job(self._jobs)
        await self._control.execute("DELETE FROM work")
        await store_jobs(self._second, job)
        claim = await work.open_attempt(
            await _claimed(work), candidates=(ROUTE,), token=f"token-{self._jobs}"
        )
        if stage == "submitting":
            return claim
        await work.adopt_task(claim, task_id="cgt-1", seconds=0, event=None)
        claim = await _claimed(work)
        if stage == "processing":
            return claim
        claim = await work.keep_output(claim, OUTPUT, started_at=utc_now(), event=None)
        if stage == "completed":
            await work.finish(claim, _ended(claim), event=None)
            wanted = WantedRefund(
                refund_id=_refund(claim).refund_id, job_id=claim.job.id, amount_micros=1, note=NOTE
            )
            await SqlRefunds(self._second).register(wanted)
        return claim

    async def cross(self, one: Move, other: Move, claim: Claim, *, stop: str) -> bool:
        """Lets one session stop at a table and the other run as far as it gets, then both. Returns whether they met."""
        async with self._first.connection() as connection:
            await connection.execute(f"SET gate.closed_at = '{stop}'".encode())
        await self._control.execute("SELECT pg_advisory_lock(7, 7)")
        first = asyncio.create_task(_run(one, self._first, claim))
        await self._stopped(first, "first")
        second = asyncio.create_task(_run(other, self._second, claim))
        await self._stopped(second, "second")
        met = not first.done() and not second.done()
        await self._control.execute("SELECT pg_advisory_unlock(7, 7)")
        await asyncio.gather(first, second)
        return met

    async def _stopped(self, running: "asyncio.Task[None]", name: str) -> None:
        """Waits until a session waits for a lock, or is done."""
        while not running.done():
            found = await (await self._control.execute(WAITING, [name])).fetchone()
            if found is not None and found[0]:
                return


async def _claimed(work: SqlWork) -> Claim:
    [claim] = await work.claim(limit=1, lease_seconds=600)
    return claim


async def _run(move: Move, pool: Pool, claim: Claim) -> None:
    # The other was first, waived what was to be refunded, or left nothing to refund.
    with suppress(LeaseLostError, psycopg.errors.CheckViolation, ServiceError):
        await move(pool, claim)


@pytest.fixture
async def sessions(make_database: MakeDatabase) -> AsyncIterator[Sessions]:
    url = make_database("jobs")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as control:
        await control.execute(GATE)
        for table in STOPS:
            await control.execute(
                f"CREATE TRIGGER gate BEFORE INSERT OR UPDATE OR DELETE ON {table}"
                " FOR EACH ROW EXECUTE FUNCTION stop_at_gate()".encode()
            )
        async with (
            open_pool(url, name="first", connections_max=1) as first,
            open_pool(url, name="second", connections_max=1) as second,
        ):
            yield Sessions(first, second, control)


@pytest.mark.parametrize("stage", STAGES)
async def test_no_two_moves_wait_for_each_other_in_a_circle(sessions: Sessions, stage: str) -> None:
    met = 0
    for one in STAGES[stage].values():
        for other in STAGES[stage].values():
            for stop in STOPS:
                met += await sessions.cross(one, other, await sessions.job_at(stage), stop=stop)

    assert met >= len(STAGES[stage]), "the sessions hardly met"
