"""Cancelling a job while somebody completes it: one of them wins, and the money follows."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from itertools import combinations
from typing import Any

import pytest

from services.common.clock import utc_now
from services.common.ids import new_id
from services.common.loop import repeat, running
from services.common.postgres.database import Pool
from services.jobs.convert.events import render_event
from services.jobs.domain.claims import LeaseLostError
from services.jobs.domain.failures import FailureCode
from services.jobs.domain.job import Job, Output
from services.jobs.domain.requests import Caps
from services.jobs.domain.states import State
from services.jobs.duties.walk_jobs import Step, Walker
from services.jobs.steps.begin_attempt import begin_attempt
from services.jobs.steps.check import check
from services.jobs.steps.complete import complete
from services.jobs.steps.recover import recover
from services.jobs.steps.return_credits import return_credits
from services.jobs.steps.submit import submit
from services.jobs.store.admission.waiting import SqlWaiting
from services.jobs.store.queue.withdrawals import SqlWithdrawals
from services.jobs.store.queue.work import SqlWork
from services.jobs.store.rows import job_from_row
from services.upstream.provider import Done, Hint, Order, Pending, RefusalKind, Refused
from tests.fakes.upstream import MemoryLedger, ScriptedMedia
from tests.integration.jobs.api import Api, Refusal, running_api
from tests.integration.jobs.conftest import a_candidate, a_job, store_jobs
from tests.patience import PATIENCE_SECONDS

BODY = {"model": "mini", "input": {"prompt": "waves"}}
ROUTE = a_candidate()
OUTPUT = Output(video_url="v", thumbnail_url="t", last_frame_url=None, duration_seconds=5.0)
HELD_SECONDS = 600.0
# Two sessions on one job: whoever completes it, and whoever cancels it although its provider has a result.
STEPS = 5
COMPLETING_STEPS = 2
ORDERS = list(combinations(range(STEPS), COMPLETING_STEPS))


async def rows(pool: Pool, statement: str) -> list[dict[str, Any]]:
    async with pool.connection() as connection:
        return await (await connection.execute(statement.encode())).fetchall()


@pytest.mark.parametrize("completing", ORDERS)
async def test_in_every_order_of_steps_one_of_them_wins_and_the_money_follows(
    jobs_pool: Pool, completing: tuple[int, ...]
) -> None:
    work, withdrawals, ledger = SqlWork(jobs_pool), SqlWithdrawals(jobs_pool), MemoryLedger()
    job = a_job()
    await store_jobs(jobs_pool, job)
    await ledger.hold(job.id, owner=job.owner, key_id="key_1", amount_micros=job.reserved_micros)
    [claim] = await work.claim(limit=1, lease_seconds=HELD_SECONDS)
    claim = await work.open_attempt(claim, candidates=(ROUTE,), token="secret")
    await work.adopt_task(claim, task_id="cgt-1", seconds=0, event=None)
    [claim] = await work.claim(limit=1, lease_seconds=HELD_SECONDS)
    ending: dict[str, Any] = {
        "work": work,
        "ledger": ledger,
        "clock": utc_now,
        "render_event": render_event,
    }

    async def complete_it() -> AsyncIterator[None]:
        stored = await work.keep_output(claim, OUTPUT, started_at=utc_now(), event=None)
        yield
        await complete(stored, media=ScriptedMedia(), **ending)
        yield

    async def cancel_it() -> AsyncIterator[None]:
        seized = await withdrawals.steal_lease(job.id, lease_seconds=HELD_SECONDS)
        if seized is None:
            return
        yield
        failing = await work.give_up(seized, failure=FailureCode.CANCELLED, detail="")
        yield
        await return_credits(failing, **ending)
        yield

    completion, cancellation = complete_it(), cancel_it()
    for step in range(STEPS):
        with suppress(LeaseLostError, StopAsyncIteration):
            await anext(completion if step in completing else cancellation)
    await finish_whatever_is_left(jobs_pool, work, ending)

    [row] = await rows(jobs_pool, "SELECT * FROM jobs")
    assert_settled(job_from_row(row), ledger)
    assert len(await rows(jobs_pool, "SELECT * FROM outbox")) == 1


async def finish_whatever_is_left(pool: Pool, work: SqlWork, ending: dict[str, Any]) -> None:
    """Does what workers do once everybody else has died."""
    async with pool.connection() as connection:
        await connection.execute("UPDATE work SET lease_until = '-infinity', due_at = now()")
    for claim in await work.claim(limit=1, lease_seconds=HELD_SECONDS):
        match claim.state:
            case State.PROCESSING:
                stored = await work.keep_output(claim, OUTPUT, started_at=utc_now(), event=None)
                await complete(stored, media=ScriptedMedia(), **ending)
            case State.STORED:
                await complete(claim, media=ScriptedMedia(), **ending)
            case _:
                await return_credits(claim, **ending)


def assert_settled(job: Job, ledger: MemoryLedger) -> None:
    """Checks that a job ended one way, and that its money went the same way."""
    if job.failure is None:
        assert (job.status, job.charged_micros, job.refunded_micros) == ("completed", job.reserved_micros, 0)
        assert ledger.state[job.id] == "captured"
    else:
        assert (job.status, job.charged_micros, job.refunded_micros) == ("failed", 0, job.reserved_micros)
        assert ledger.state[job.id] == "released"


@dataclass
class RacingProvider:
    """Fulfils Provider: a task has a result when it is asked for the second time, unless it was cancelled before."""

    taken: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    """Jobs whose tasks it was given."""
    asked: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)
    cancelled: set[str] = field(default_factory=set)

    async def submit(
        self, order: Order, *, correlation_id: str, callback_url: str | None, timeout_seconds: float
    ) -> str:
        self.taken.put_nowait(correlation_id.rpartition("-")[0])
        return correlation_id

    async def find(
        self, correlation_id: str, *, model: str, created_after: float, timeout_seconds: float
    ) -> str | None:
        return correlation_id

    async def carries(self, task_id: str, correlation_id: str, *, timeout_seconds: float) -> bool:
        return task_id == correlation_id

    async def check(self, task_id: str, *, timeout_seconds: float) -> Pending | Done | Refused:
        if task_id in self.cancelled:
            return Refused(kind=RefusalKind.FAILED)
        if task_id not in self.asked:
            self.asked.add(task_id)
            return Pending(running=False)
        self.done.add(task_id)
        return Done(video_url="https://p.example/v")

    async def cancel(self, task_id: str, *, timeout_seconds: float) -> bool:
        if task_id in self.done:
            return False
        self.cancelled.add(task_id)
        return True

    async def read_callback(self, headers: Mapping[str, str], body: bytes, *, model: str) -> Hint | None:
        return None

    def media_headers(self, url: str) -> Mapping[str, str]:
        return {}


JOB_COUNT = 60
CANCELLING = 4


def walker(work: SqlWork, ledger: MemoryLedger, provider: RacingProvider) -> Walker:
    providers = {"live": {"ark": provider}}
    told: dict[str, Any] = {"clock": utc_now, "render_event": render_event}
    steps: dict[State, Step] = {
        State.PENDING: partial(
            begin_attempt,
            work=work,
            ledger=ledger,
            candidates=lambda _job, _attempt_id: (ROUTE,),
            new_token=partial(new_id, "token"),
        ),
        State.SUBMITTING: partial(recover, work=work, providers=providers, **told),
        State.PROCESSING: partial(check, work=work, providers=providers, media=ScriptedMedia(), **told),
        State.STORED: partial(complete, work=work, ledger=ledger, media=ScriptedMedia(), **told),
        State.FAILING: partial(return_credits, work=work, ledger=ledger, **told),
    }
    submitting = partial(submit, work=work, providers=providers, callback_url=lambda _: None, **told)
    return Walker(work=work, steps=steps, submit=submitting)


@dataclass
class Race:
    """Workers that complete jobs at once, and a customer who cancels each as soon as its provider has it."""

    pool: Pool
    api: Api
    key: str
    provider: RacingProvider
    answers: dict[str, int] = field(default_factory=dict)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    is_over: asyncio.Event = field(default_factory=asyncio.Event)

    async def cancel_what_was_taken(self) -> int:
        job_id = await self.provider.taken.get()
        try:
            await self.api.call("Video.CancelVideo", {"id": job_id}, key=self.key)
            self.answers[job_id] = HTTPStatus.OK
        except Refusal as refused:
            self.answers[job_id] = refused.http_status
        return 1

    async def hurry(self) -> int:
        """Lets nobody wait until a provider is to be asked again. Tells when no job is left and all are answered."""
        await SqlWaiting(self.pool).admit()
        await rows(self.pool, HURRY)
        self.wake.set()
        if len(self.answers) == JOB_COUNT and not await rows(self.pool, "SELECT FROM work LIMIT 1"):
            self.is_over.set()
        return 1


HURRY = "UPDATE work SET due_at = now() WHERE due_at > now() AND due_at < 'infinity' RETURNING 1"


async def test_jobs_cancelled_while_workers_complete_them_end_one_way_each(jobs_pool: Pool) -> None:
    provider = RacingProvider()
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        running_api(jobs_pool, provider=provider) as api,
        AsyncExitStack() as stack,
    ):
        api.meanwhile = partial(asyncio.sleep, 0.01)
        key = api.add_key(caps=Caps(account_jobs=20, key_jobs=20))
        race = Race(jobs_pool, api, key, provider)
        await asyncio.gather(*(api.call("Video.CreateVideo", BODY, key=key) for _ in range(JOB_COUNT)))
        for duty in (race.hurry, *[race.cancel_what_was_taken] * CANCELLING):
            await stack.enter_async_context(running(repeat(duty, name="racing", idle_seconds=0.01)))
        walking = walker(api.work, api.ledger, provider).running(wake=race.wake)
        await stack.enter_async_context(walking)
        await race.is_over.wait()
        jobs = [job_from_row(row) for row in await rows(jobs_pool, "SELECT * FROM jobs")]

    for job in jobs:
        assert_settled(job, api.ledger)
    cancelled = {job.id for job in jobs if job.failure is FailureCode.CANCELLED}
    assert cancelled == {job_id for job_id, status in race.answers.items() if status == HTTPStatus.OK}
    assert set(race.answers.values()) <= {HTTPStatus.OK, HTTPStatus.CONFLICT}
    assert {job.id for job in jobs} == race.answers.keys()
    assert len(await rows(jobs_pool, "SELECT DISTINCT job_id FROM outbox")) == JOB_COUNT
