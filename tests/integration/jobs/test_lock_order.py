"""Every statement of the jobs database locks rows in one order, so that no two can wait for each other in a circle."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from services.common.audit.note import AuditNote
from services.common.clock import utc_now
from services.common.idempotency import store as idempotency_store
from services.common.idempotency.store import Ending, KeyedRequest, Lock, SqlIdempotencyKeys
from services.common.paging import EARLIEST
from services.common.postgres.database import Pool, open_pool
from services.jobs import store
from services.jobs.domain.claims import Blame, Claim, Fault, NoRoomError
from services.jobs.domain.events import NewEvent
from services.jobs.domain.failures import FailureCode
from services.jobs.domain.job import Job
from services.jobs.domain.requests import Caps
from services.jobs.domain.retention import OwnDays
from services.jobs.domain.routes import Credential
from services.jobs.domain.states import Status
from services.jobs.domain.uploads import PUT_TIME, UNUSED_TIME, Upload, UploadQuota
from services.jobs.store import lock_order
from services.jobs.store.admission.recount import FOLDED_FROM, SqlPlaces
from services.jobs.store.admission.waiting import SqlWaiting
from services.jobs.store.deletions import SqlDeletions
from services.jobs.store.endings import Place, SqlEndings
from services.jobs.store.jobs import SqlJobs
from services.jobs.store.kept_days import SqlKeptDays
from services.jobs.store.margins import SqlMargins
from services.jobs.store.months import SqlMonths
from services.jobs.store.outbox import SqlOutbox
from services.jobs.store.queue.controls import SqlControls
from services.jobs.store.queue.parked import SqlParked
from services.jobs.store.queue.strays import SqlStrays, StrayEnd
from services.jobs.store.queue.withdrawals import SqlWithdrawals
from services.jobs.store.queue.work import SqlWork
from services.jobs.store.refunds import Refund, SqlRefunds, WantedRefund
from services.jobs.store.refused_events import SqlRefusedEvents
from services.jobs.store.repairs import SqlRepairs
from services.jobs.store.retention import SqlRetention
from services.jobs.store.routes import SqlRoutes
from services.jobs.store.uploads import SqlUploads
from tests.conftest import MakeDatabase
from tests.integration.jobs.conftest import OWNER, a_candidate, a_job
from tests.integration.jobs.test_work_store import OUTPUT, ROUTE
from tests.integration.jobs.world import said
from tests.integration.lock_log import LockLog, lock_log

NOTE = AuditNote(actor="tests", reason="order")
CAPS = Caps(account_jobs=50, key_jobs=50)
IN_NOBODYS_WAY = frozenset({"work", "attempts", "jobs", "audit", "margin_changes", "place_changes"})
"""New rows of these: see `lock_order`."""
LEASE_SECONDS = 600.0


class Driven:
    """A jobs database whose statements are sent one after another, and what each of them locks."""

    def __init__(self, pool: Pool, log: LockLog) -> None:
        self.pool = pool
        self.log = log
        self.work = SqlWork(pool)
        self.jobs = SqlJobs(pool)
        self._events = 0

    async def sql(self, statement: str) -> None:
        await self.log.connection.execute(statement.encode())

    async def new(self, *numbers: int) -> list[Claim]:
        """Stores jobs, the last first, and claims them all."""
        async with self.log.step("create"):
            await asyncio.gather(
                *(self.jobs.create(a_job(number), caps=CAPS) for number in reversed(numbers))
            )
        return await self.claims(*(a_job(number).id for number in numbers))

    async def claims(self, *job_ids: str) -> list[Claim]:
        """Claims these jobs and no others, whoever has them."""
        wanted = ", ".join(f"'{job_id}'" for job_id in job_ids)
        await self.sql("UPDATE work SET lease_until = 'infinity'")
        await self.sql(
            f"UPDATE work SET lease_until = '-infinity', due_at = now() WHERE job_id IN ({wanted})"
        )
        async with self.log.step("claim", waits=False):
            found = await self.work.claim(limit=100, lease_seconds=LEASE_SECONDS)
        assert len(found) == len(job_ids)
        return sorted(found, key=lambda claim: claim.job.id)

    def event(self, claim: Claim) -> NewEvent:
        self._events += 1
        return NewEvent(
            id=f"evt_{self._events:03d}", type="t", sequence=self._events, body=b"{}", occurred_at=utc_now()
        )

    async def submitted(self, claim: Claim) -> Claim:
        async with self.log.step("open_attempt"):
            return await self.work.open_attempt(
                claim, candidates=(ROUTE,), token=f"token-{claim.job.id}-{claim.lease_no}"
            )

    async def processing(self, claim: Claim) -> Claim:
        claim = await self.submitted(claim)
        async with self.log.step("adopt_task"):
            await self.work.adopt_task(claim, task_id="cgt-1", seconds=0, event=self.event(claim))
        [claim] = await self.claims(claim.job.id)
        return claim

    async def completed(self, claim: Claim) -> Job:
        claim = await self.processing(claim)
        async with self.log.step("note_running"):
            claim = await self.work.note_running(claim, started_at=utc_now(), event=self.event(claim))
        async with self.log.step("keep_output"):
            claim = await self.work.keep_output(claim, OUTPUT, started_at=utc_now(), event=self.event(claim))
        charged = claim.job.reserved_micros
        ended = replace(claim.job, status=Status.COMPLETED, charged_micros=charged, ended_at=utc_now())
        async with self.log.step("finish"):
            await self.work.finish(claim, ended, event=self.event(claim))
        return ended


@pytest.fixture
async def driven(make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Driven]:
    url = make_database("jobs")
    async with lock_log(url, monkeypatch) as log, open_pool(url, name="test", connections_max=4) as pool:
        yield Driven(pool, log)


async def walk(driven: Driven) -> None:
    """Sends every statement that moves jobs on their way, or back."""
    work, log = driven.work, driven.log
    first, second, third, fourth, fifth = await driven.new(1, 2, 3, 4, 5)
    async with log.step("hand over"):
        await work.hand_over([second, third, first])
    async with log.step("renew"):
        await work.renew([third, first, second], lease_seconds=LEASE_SECONDS)
    await driven.completed(first)
    second = await driven.submitted(second)
    async with log.step("drop_attempt"):
        await work.drop_attempt(second, outcome="busy", detail="", seconds=0)
    assert second.attempt is not None
    async with log.step("call of a dropped attempt"):
        assert not await work.wake(second.attempt.token, said("cgt-5"))
    third = await driven.processing(third)
    assert third.attempt is not None
    async with log.step("wake"):
        assert await work.wake(third.attempt.token, said("cgt-2"))
    async with log.step("postpone"):
        await work.postpone(third, seconds=0)
    async with log.step("stall"):
        await work.stall(fourth, seconds=0, error="x", is_outage=False)
    fifth = await driven.processing(fifth)
    assert fifth.attempt is not None
    async with log.step("give_up"):
        await work.give_up(fifth, failure=FailureCode.TIMEOUT, detail="", may_run=True)
    async with log.step("late wake"):
        assert not await work.wake(fifth.attempt.token, said("cgt-3"))
    async with log.step("note_stray"):
        await work.note_stray(fifth.attempt, "cgt-4")


async def place(driven: Driven) -> None:
    """Sends every statement about routes and credentials, as they fail, fill up and have room again."""
    work, log = driven.work, driven.log
    last, second, first, waiting = await driven.new(34, 33, 32, 31)
    narrow = [
        a_candidate(name, credential=name, jobs_at_once=1, requests_per_minute=60_000) for name in ("b", "a")
    ]
    failed = Blame(fault=Fault.ROUTE, failure_class="quota", takes_out=True, pause_seconds=1)
    opened = []
    for claim in (last, second):
        async with log.step("open_attempt where there is little room"):
            opened.append(await work.open_attempt(claim, candidates=narrow, token=f"narrow-{claim.job.id}"))
    async with log.step("wait for room"):
        with pytest.raises(NoRoomError):
            await work.open_attempt(waiting, candidates=narrow, token="narrow")
    async with log.step("drop and blame"):
        await asyncio.gather(
            *(
                work.drop_attempt(each, outcome="broken", detail="", seconds=0, blame=failed)
                for each in opened
            )
        )
    assert opened[0].attempt is not None
    async with log.step("blame"):
        await work.blame(opened[0].attempt, Fault.RENDER, failure_class="unavailable")
    async with log.step("take out"):
        await work.take_out(replace(opened[0].attempt, key_name="other"), reason="credential")
    await driven.sql("UPDATE route_states SET opened_until = now()")
    await driven.sql(
        "UPDATE credential_states SET out_key_name = NULL, next_request_at = now() - interval '1 h'"
    )
    async with log.step("call up", waits=False):
        limits = [
            Credential(
                name=name,
                provider="",
                base_url="",
                keys=("main",),
                jobs_at_once=1,
                requests_per_minute=60_000,
            )
            for name in ("a", "b")
        ]
        assert await SqlParked(driven.pool).call_up(limits, credential_by_route={"a": "a", "b": "b"}) == 1
    routes = SqlRoutes(driven.pool)
    async with log.step("disable route"):
        await routes.disable("a", note=NOTE)
    async with log.step("enable route"):
        await routes.enable("a", note=NOTE)
    async with log.step("rotate credential"):
        await routes.rotate("a", "main", note=NOTE)
    async with log.step("put credential back"):
        await routes.put_back("a", note=NOTE)
    await driven.sql("UPDATE route_states SET opened_until = now()")
    [first] = await driven.claims(first.job.id)
    await driven.sql("UPDATE work SET waits_for = NULL, waits_on = NULL")
    async with log.step("probe"):
        first = await work.open_attempt(first, candidates=narrow, token="probe")
    async with log.step("trust again"):
        await work.adopt_task(first, task_id="cgt-9", seconds=0, event=None)
    assert await work.renders_started(first.job.id) == 1


async def take_away(driven: Driven) -> None:
    """Sends every statement with which customers and operators take jobs from workers."""
    log, repairs = driven.log, SqlRepairs(driven.pool)
    withdrawals, controls = SqlWithdrawals(driven.pool), SqlControls(driven.pool)
    pending, processing, given_up, _, stored = await driven.new(11, 12, 13, 14, 15)
    async with log.step("withdraw"):
        assert await withdrawals.withdraw(pending.job.id, failure=FailureCode.CANCELLED, lease_seconds=1)
    processing = await driven.processing(processing)
    async with log.step("seize"):
        assert await withdrawals.steal_lease(processing.job.id, lease_seconds=LEASE_SECONDS)
    async with log.step("recheck"):
        assert await controls.recheck(processing.job.id, note=NOTE)
    async with log.step("fail"):
        assert await controls.fail(processing.job.id, failure=FailureCode.TIMEOUT, note=NOTE)
    given_up = await driven.processing(given_up)
    async with log.step("repair give_up"):
        await repairs.give_up(given_up.job.id, failure=FailureCode.TIMEOUT, action="job.settle", note=NOTE)
    stored = await driven.processing(stored)
    await driven.work.keep_output(stored, OUTPUT, started_at=utc_now(), event=None)
    async with log.step("hurry"):
        await repairs.hurry(stored.job.id, action="job.settle", note=NOTE)
    await driven.sql("UPDATE work SET admitted_at = NULL, due_at = 'infinity', state = 'pending'")
    async with log.step("admit"):
        assert await SqlWaiting(driven.pool).admit()
    await driven.sql("UPDATE places SET placed = placed + 1")
    async with log.step("mend places"):
        assert await SqlPlaces(driven.pool).mend()
    await driven.sql(
        "INSERT INTO place_changes (account_id, environment, key_id, placed, waiting)"
        f" SELECT '{OWNER.account_id}', '{OWNER.environment}', '', 0, 0 FROM generate_series(1, {FOLDED_FROM})"
    )
    async with log.step("fold places"):
        await SqlPlaces(driven.pool).fold()
    async with log.step("repair give_up of a job without work"):
        await driven.sql(f"DELETE FROM work WHERE job_id = '{given_up.job.id}'")
        await repairs.give_up(given_up.job.id, failure=FailureCode.TIMEOUT, action="job.settle", note=NOTE)


async def settle(driven: Driven) -> None:
    """Sends every statement about jobs that have ended."""
    log, refunds, repairs = driven.log, SqlRefunds(driven.pool), SqlRepairs(driven.pool)
    claims = await driven.new(21, 22, 23)
    jobs = [await driven.completed(claim) for claim in claims]
    for number in (2, 1):
        wanted = WantedRefund(refund_id=f"r{number}", job_id=jobs[0].id, amount_micros=1, note=NOTE)
        async with log.step("register refund"):
            await refunds.register(wanted)
    await driven.sql("UPDATE refunds SET due_at = now()")
    async with log.step("take due refunds", waits=False):
        assert await refunds.take_due(limit=10)
    async with log.step("apply refund"):
        await refunds.apply("r1", job_id=jobs[0].id)
    late = Refund(refund_id="r3", job_id=jobs[0].id, amount_micros=1, reason="x")
    async with log.step("note_refund"):
        await repairs.note_refund(late, action="job.settle", note=NOTE)
    async with log.step("waive"):
        await repairs.waive(jobs[0].id, action="job.settle", note=NOTE)
    async with log.step("note"):
        await repairs.note(jobs[0].id, action="job.settle", note=NOTE, details={})
    retention = SqlRetention(driven.pool)
    async with log.step("delete_content"):
        await retention.delete_content([jobs[2], jobs[0], jobs[1]])
    async with log.step("note_media_deleted"):
        await retention.note_media_deleted([jobs[2], jobs[0], jobs[1]])
    deletions = SqlDeletions(driven.pool)
    [claim] = await driven.new(24)
    unwanted = await driven.completed(claim)
    async with log.step("delete job"):
        await deletions.register(unwanted, note=NOTE)
    async with log.step("take due deletions", waits=False):
        due = await deletions.take_due(each_max=10, most=10)
    async with log.step("end deletions"):
        await deletions.end(due)
    async with log.step("choose days"):
        await SqlKeptDays(driven.pool).choose("acct_1", OwnDays(media_days=1), note=NOTE)
    async with log.step("fold margins"):
        assert await SqlMargins(driven.pool).fold()
    strays = SqlStrays(driven.pool)
    months = SqlMonths(driven.pool)
    async with log.step("add month"):
        assert await months.add("vid") is None
    async with log.step("drop old months"):
        assert await months.drop("vid", kept_days=30) == []

    async with log.step("take due stray", waits=False):
        stray = await strays.take_due()
    assert stray is not None
    async with log.step("end stray"):
        await strays.end(stray, StrayEnd.STOPPED)


async def hand_over(driven: Driven) -> None:
    """Sends every statement about events and idempotency keys."""
    log, outbox = driven.log, SqlOutbox(driven.pool)
    ids = [event.event_id for event in await outbox.oldest(limit=100)]
    async with log.step("set_aside"):
        await outbox.set_aside(ids[0], refusal="no", seconds=60)
    async with log.step("retry refused", waits=False):
        assert await SqlRefusedEvents(driven.pool).retry(None, note=NOTE)
    async with log.step("remove events"):
        removed = await outbox.oldest(limit=100)
        await outbox.remove([ids[2], ids[0], ids[1]])
    endings = SqlEndings(driven.pool)
    async with log.step("look for ends"):
        assert await endings.page(Place(account_id=OWNER.account_id, ended_at=EARLIEST), limit=10)
    async with log.step("hand over again"):
        assert await endings.hand_over(removed[::-1], note=NOTE)
    keys = SqlIdempotencyKeys(driven.pool)
    wanted = [KeyedRequest(key_id="key", key=key, fingerprint=b"f") for key in "cab"]
    async with log.step("reserve keys"):
        locks = await asyncio.gather(*(keys.reserve(each, ulid=each.key) for each in wanted))
    async with log.step("end keys"):
        await asyncio.gather(
            *(keys.end(Ending(lock=lock, answer=b"x")) for lock in locks if isinstance(lock, Lock))
        )
    await driven.sql("UPDATE idempotency SET expires_at = now(), locked_until = now()")
    async with log.step("reserve keys again"):
        await asyncio.gather(*(keys.reserve(each, ulid=each.key) for each in wanted[:2]))
    async with log.step("forget keys", waits=False):
        assert await keys.forget_expired()


async def upload(driven: Driven) -> None:
    """Sends every statement about uploads."""
    log, uploads, quota = driven.log, SqlUploads(driven.pool), UploadQuota(count_max=9, byte_count_max=9)
    ids = ["c", "a", "b"]
    async with log.step("announce"):
        await asyncio.gather(*(uploads.add(an_upload(each), quota=quota) for each in ids))
    async with log.step("note arrivals"):
        await asyncio.gather(*(uploads.note_arrival(each, byte_count=1) for each in ids))
    async with log.step("keep"):
        assert await uploads.keep(ids, owner=OWNER) == set(ids)
    async with log.step("give up"):
        assert await uploads.give_up("a", owner=OWNER) == "a.png"
    async with log.step("forget"):
        await uploads.forget("a")


def an_upload(upload_id: str) -> Upload:
    now = utc_now()
    return Upload(
        id=upload_id,
        account_id=OWNER.account_id,
        environment=OWNER.environment,
        name=f"{upload_id}.png",
        media_type="image/png",
        byte_count=1,
        created_at=now,
        put_until=now + PUT_TIME,
        kept_until=now + UNUSED_TIME,
    )


async def test_every_statement_locks_in_one_order(driven: Driven) -> None:
    await walk(driven)
    await place(driven)
    await take_away(driven)
    await settle(driven)
    await hand_over(driven)
    await upload(driven)

    found = await driven.log.violations(order=lock_order.LOCK_ORDER, new_in_nobodys_way=IN_NOBODYS_WAY)
    assert not found, "\n".join(found)
    assert await driven.log.unseen(store, idempotency_store) == []
