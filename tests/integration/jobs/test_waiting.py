"""Calls that wait for a job, on real PostgreSQL, and the processes that tell them it has moved."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import grpc
import pytest
from reelgate.nextapi.v1 import job_service_pb2
from reelgate.video.v1 import video_service_pb2

from services.common.clock import utc_now
from services.common.postgres.database import Pool, open_pool
from services.common.postgres.notifier import Notifier, open_notifier
from services.jobs.domain.claims import Claim
from services.jobs.domain.failures import FailureCode
from services.jobs.domain.job import Job
from services.jobs.domain.requests import Owner
from services.jobs.domain.states import Status
from services.jobs.store.jobs import SqlJobs
from services.jobs.store.queue.stages import SqlStages
from services.jobs.store.queue.work import SqlWork
from services.jobs.watch.event_stream import KEEP_ALIVE, OPENING, Pace
from services.jobs.watch.job_watch import JobWatch
from tests.conftest import MakeDatabase
from tests.integration.jobs.api import Api, Refusal, running_api
from tests.integration.jobs.conftest import OWNER, a_candidate, a_job, store_jobs
from tests.patience import PATIENCE_SECONDS
from tests.unit.jobs.test_event_stream import Event, names, read
from tests.unit.jobs.test_subscriptions import WANTED

TOPIC = "moved"
CALLERS = 300
QUICK = Pace(progress_seconds=0.02, heartbeat_seconds=0.05)
JOB = a_job()
JOB_B = replace(
    a_job(2), id=f"job_{2:026d}", owner=Owner(account_id="acct_b", environment="live", contract="nextapi")
)


@pytest.fixture
def url(make_database: MakeDatabase) -> str:
    return make_database("jobs")


@pytest.fixture
async def pool(url: str) -> AsyncIterator[Pool]:
    async with open_pool(url, name="test", connections_max=8) as opened:
        yield opened


@dataclass
class Worker:
    """Moves one job, as a worker does."""

    work: SqlWork
    claim: Claim

    async def take(self) -> None:
        claim = await self.work.open_attempt(self.claim, candidates=(a_candidate(),), token=self.claim.job.id)
        await self.work.adopt_task(claim, task_id="cgt-1", seconds=0, event=None)
        [self.claim] = await self.work.claim(limit=1, lease_seconds=600)

    async def see_running(self) -> None:
        self.claim = await self.work.note_running(self.claim, started_at=utc_now(), event=None)

    async def fail(self) -> Job:
        claim = await self.work.give_up(self.claim, failure=FailureCode.TIMEOUT, detail="late")
        ended = replace(
            claim.job, status=Status.FAILED, refunded_micros=claim.job.reserved_micros, ended_at=utc_now()
        )
        await self.work.finish(claim, ended, event=None)
        return ended


async def worker_of(pool: Pool, job: Job, *, name_moved: Callable[[str], None] = lambda _: None) -> Worker:
    """Stores a job and returns who moves it. By default nobody is told."""
    await store_jobs(pool, job)
    work = SqlWork(pool, name_moved=name_moved)
    [claim] = await work.claim(limit=1, lease_seconds=600)
    return Worker(work, claim)


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


def requests_of(pool: Pool) -> int:
    """Returns how often a connection was asked for."""
    return pool.get_stats()["requests_num"]


@asynccontextmanager
async def two_processes(url: str) -> AsyncIterator[tuple[Notifier, Notifier]]:
    """Yields the wake-ups of two processes that hear each other by now."""
    async with (
        open_notifier(url, (), name="test", topics=(TOPIC,)) as one,
        open_notifier(url, (), name="test", topics=(TOPIC,)) as other,
    ):
        heard: set[str] = set()
        other.subscribe(TOPIC, heard.update)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while "ready" not in heard:
            assert time.monotonic() < deadline
            one.publish(TOPIC, "ready")
            await asyncio.sleep(0.05)
        yield one, other


async def test_another_process_hears_each_word_and_ones_own_echo_is_not_heard(url: str) -> None:
    words = [f"job_{number:026d}" for number in range(600)]
    async with two_processes(url) as (one, other):
        here: list[str] = []
        there: list[str] = []
        one.subscribe(TOPIC, here.extend)
        other.subscribe(TOPIC, there.extend)

        for word in words:
            one.publish(TOPIC, word)
        await until(lambda: set(words) <= set(there))
        other.publish(TOPIC, "last")
        await until(lambda: "last" in here)

    assert here == [*words, "last"]


async def test_a_wait_is_answered_by_what_another_process_did(url: str, pool: Pool) -> None:
    read = partial(SqlJobs(pool).get, JOB.id, owner=OWNER)
    wanted = replace(WANTED, job_id=JOB.id, account_id=OWNER.account_id, read=read)
    async with two_processes(url) as (one, other):
        worker = await worker_of(pool, JOB, name_moved=partial(one.publish, TOPIC))
        watch = JobWatch(SqlStages(pool))  # which does not run: it reads nothing but the news
        other.subscribe(TOPIC, watch.receive)
        waiting = asyncio.create_task(watch.until_ended(wanted, seconds=PATIENCE_SECONDS))
        await until(lambda: watch.subscription_count == 1)
        await worker.take()
        ended = await worker.fail()
        deadline = time.monotonic() + PATIENCE_SECONDS / 2
        while not waiting.done():
            assert time.monotonic() < deadline
            await watch.read_published()
            await asyncio.sleep(0.01)

        answered = await waiting

    assert (answered.status, answered.ended_at) == (Status.FAILED, ended.ended_at)


async def test_a_wait_whose_news_was_lost_is_answered_all_the_same(pool: Pool) -> None:
    worker = await worker_of(pool, JOB)
    async with running_api(pool) as api:
        waiting = asyncio.create_task(_get(api, api.add_key(), wait=60))
        await until(lambda: bool(api.watch.subscription_count))

        await worker.take()
        await worker.fail()

        assert (await waiting)["data"]["status"] == "failed"


async def test_a_wait_shows_the_state_when_its_time_is_up(pool: Pool) -> None:
    worker = await worker_of(pool, JOB)
    await worker.take()
    async with running_api(pool) as api:
        answer = await _get(api, api.add_key(), wait=1)

    assert answer["data"]["status"] == "processing"


async def test_a_wait_is_over_before_its_call_is(pool: Pool) -> None:
    await worker_of(pool, JOB)
    async with running_api(pool) as api:
        request = video_service_pb2.GetVideoRequest(id=JOB.id, wait=60)

        answer = await api.stubs["Video"].GetVideo(request, metadata=_as(api.add_key()), timeout=10)

    assert answer.data.status == "pending"


async def test_nobody_waits_for_another_accounts_job(pool: Pool) -> None:
    await worker_of(pool, JOB)
    async with running_api(pool) as api:
        key = api.add_key(account_id="acct_2")
        with pytest.raises(Refusal) as wait:
            await _get(api, key, wait=60)
        with pytest.raises(grpc.aio.AioRpcError) as stream:
            await _events(api, "Video", JOB.id, key)

    assert wait.value.http_status == 404
    trailers: Any = stream.value.trailing_metadata()
    assert dict(trailers)["x-api-status"] == "404"
    assert not api.watch.subscription_count


async def test_many_who_wait_cost_one_read_each_and_no_more(pool: Pool) -> None:
    worker = await worker_of(pool, JOB)
    await worker.take()
    async with running_api(pool) as api:
        key = api.add_key()
        waiting = [asyncio.create_task(_get(api, key, wait=60)) for _ in range(CALLERS)]
        await until(lambda: [each.stage for each in api.watch._by_job.get(JOB.id, ())] == [1] * CALLERS)
        before = requests_of(pool)
        started = time.monotonic()

        await worker.fail()
        answers = await asyncio.gather(*waiting)

        seconds = time.monotonic() - started
        reads = requests_of(pool) - before

    assert {answer["data"]["status"] for answer in answers} == {"failed"}
    assert reads <= 2 + 2 + seconds, "the worker's two moves, and one read a second"


@pytest.mark.parametrize(
    ("service", "job", "statuses"),
    [
        ("Video", JOB, ["pending", "processing", "failed"]),
        ("Job", JOB_B, ["queued", "running", "failed"]),
    ],
)
async def test_a_stream_tells_a_job_from_its_start_to_its_end(
    pool: Pool, service: str, job: Job, statuses: list[str]
) -> None:
    worker = await worker_of(pool, job)
    async with running_api(pool, pace=QUICK) as api:
        key = api.add_key(account_id=job.owner.account_id, contract=job.owner.contract)
        call = _watch(api, service, job.id, key)
        texts: list[str] = []

        async def next_named(name: str) -> None:
            while True:
                text = (await call.read()).data.decode()
                texts.append(text)
                if f"event: {name}\n" in text:
                    return

        await next_named("status")
        headers = dict(await call.initial_metadata())
        await worker.take()
        await worker.see_running()
        await next_named("progress")
        await next_named("progress")
        await worker.fail()
        await next_named("end")

        assert await call.read() is grpc.aio.EOF  # type: ignore[attr-defined]

    whole = "".join(texts)
    assert whole.startswith(OPENING)
    assert KEEP_ALIVE in whole
    assert headers["cache-control"] == "no-cache"
    events = read(whole.removeprefix(OPENING).replace(KEEP_ALIVE, ""))
    told = [status for name, status in names(events) if name == "status"]
    assert told == statuses
    assert names(events)[-1] == ("end", "failed")
    progress = [each["data"]["progress"] for each in events if each["event"] == "progress"]
    assert progress == sorted(set(progress))


async def test_a_stream_goes_on_where_it_was_left(pool: Pool) -> None:
    worker = await worker_of(pool, JOB)
    async with running_api(pool) as api:
        key = api.add_key()
        call = _watch(api, "Video", JOB.id, key)
        [seen] = read((await call.read()).data.decode().removeprefix(OPENING))
        call.cancel()
        await until(lambda: not api.watch.subscription_count)
        await worker.take()
        await worker.fail()

        missed = await _events(api, "Video", JOB.id, key, heard=seen["id"])
        nothing = await _events(api, "Video", JOB.id, key, heard=missed[-1]["id"])

    assert names(missed) == [("status", "failed"), ("end", "failed")]
    assert nothing == []


async def test_a_process_that_stops_lets_go_of_all_who_wait(pool: Pool) -> None:
    await worker_of(pool, JOB)
    async with running_api(pool) as api:
        key = api.add_key()
        waiting = asyncio.create_task(_get(api, key, wait=60))
        streaming = asyncio.create_task(_events(api, "Video", JOB.id, key))
        await until(lambda: api.watch.subscription_count == 2)

        api.watch.release()

        assert (await waiting)["data"]["status"] == "pending"
        assert names(await streaming) == [("status", "pending")]


@pytest.mark.parametrize("service", ["Video", "Job"])
async def test_a_stream_ends_once_its_key_has_stopped_working(pool: Pool, service: str) -> None:
    job = JOB if service == "Video" else JOB_B
    await worker_of(pool, job)
    async with running_api(pool) as api:
        key = api.add_key(account_id=job.owner.account_id, contract=job.owner.contract)
        call = _watch(api, service, job.id, key)
        await call.read()

        api.callers.clear()
        [error] = read((await call.read()).data.decode())

        assert await call.read() is grpc.aio.EOF  # type: ignore[attr-defined]
        await until(lambda: not api.watch.subscription_count)
    assert error["event"] == "error"
    assert error["data"]["error"]["message"] == "API key is missing, invalid, or disabled."


async def test_a_wait_ends_once_its_key_has_stopped_working(pool: Pool) -> None:
    await worker_of(pool, JOB)
    async with running_api(pool) as api:
        key = api.add_key()
        waiting = asyncio.create_task(_get(api, key, wait=60))
        await until(lambda: api.watch.subscription_count == 1)

        api.callers.clear()
        with pytest.raises(Refusal) as refused:
            await waiting

    assert refused.value.http_status == 401


async def test_what_goes_wrong_late_is_an_event_in_the_words_of_the_contract(pool: Pool) -> None:
    worker = await worker_of(pool, JOB_B)
    async with running_api(pool) as api:
        key = api.add_key(account_id="acct_b", contract="nextapi")
        call = _watch(api, "Job", JOB_B.id, key)
        await call.read()
        await worker.take()
        async with pool.connection() as connection:
            await connection.execute("UPDATE jobs SET metadata = '{', started_at = now()")

        [error] = read((await call.read()).data.decode())

        assert await call.read() is grpc.aio.EOF  # type: ignore[attr-defined]
    assert error["event"] == "error"
    assert error["data"] == {"error": {"code": "internal_error", "message": "Unexpected server error."}}


def _as(key: str, heard: str = "") -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {key}"), *((("last-event-id", heard),) if heard else ()))


async def _get(api: Api, key: str, *, wait: int) -> dict[str, Any]:
    return await api.call("Video.GetVideo", {"id": JOB.id, "wait": wait}, key=key)


def _watch(api: Api, service: str, job_id: str, key: str, heard: str = "") -> Any:
    stub, metadata = api.stubs[service], _as(key, heard)
    if service == "Video":
        request = video_service_pb2.WatchVideoRequest(id=job_id)
        return stub.WatchVideo(request, metadata=metadata, timeout=PATIENCE_SECONDS)
    return stub.WatchJob(
        job_service_pb2.WatchJobRequest(id=job_id), metadata=metadata, timeout=PATIENCE_SECONDS
    )


async def _events(api: Api, service: str, job_id: str, key: str, heard: str = "") -> list[Event]:
    """Returns the events of a stream that ends."""
    call = _watch(api, service, job_id, key, heard)
    text = "".join([part.data.decode() async for part in call])
    blocks = [block for block in text.split("\n\n") if "event: " in block]
    return read("".join(f"{block}\n\n" for block in blocks))
