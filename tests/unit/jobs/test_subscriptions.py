import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest
from typing_extensions import override

from services.common.auth.authentication import Caller, Credential
from services.common.errors import Reason, ServiceError
from services.jobs.domain.job import Job, stage
from services.jobs.domain.states import Status
from services.jobs.ports import Stages
from services.jobs.watch.job_watch import BATCH_MAX, JobWatch
from services.jobs.watch.subscription import Subscription, WatchRequest
from tests.unit.jobs.samples import JOB, a_job

TAKEN = a_job(status=Status.PROCESSING)
ENDED = a_job(status=Status.FAILED, ended_at=datetime(2026, 6, 29, 11, tzinfo=UTC))
SECONDS = 60.0
"""More than any test takes."""


@dataclass
class FakeStages(Stages):
    """Fulfils Stages with the jobs it is given, and notes what it was asked."""

    jobs: dict[str, Job] = field(default_factory=dict)
    asked: list[dict[str, int]] = field(default_factory=list)

    @override
    async def moved(self, known: Mapping[str, int]) -> list[Job]:
        self.asked.append(dict(known))
        return [job for job_id, job in self.jobs.items() if job_id in known and stage(job) > known[job_id]]


async def read_job() -> Job:
    return JOB


async def any_key(key: str) -> Caller:
    return Caller(key_id=key, account_id="acct_1", environment="live", contract="seedancee2")


CREDENTIAL = Credential("key_1", any_key)
WANTED = WatchRequest(job_id=JOB.id, account_id="acct_1", credential=CREDENTIAL, read=read_job)


async def waiting(watch: JobWatch) -> "asyncio.Task[Job]":
    """Returns a call that waits for the end of JOB by now."""
    task = asyncio.create_task(watch.until_ended(WANTED, seconds=SECONDS))
    await asyncio.sleep(0)
    return task


async def test_a_wait_ends_when_the_job_is_heard_to_have_ended() -> None:
    watch = JobWatch(FakeStages({JOB.id: ENDED}))
    task = await waiting(watch)

    watch.receive([JOB.id])
    await watch.read_published()

    assert await task == ENDED


async def test_a_wait_goes_on_when_the_job_has_only_moved() -> None:
    stages = FakeStages({JOB.id: TAKEN})
    watch = JobWatch(stages)
    task = await waiting(watch)
    watch.receive([JOB.id])
    await watch.read_published()

    assert not task.done()
    stages.jobs[JOB.id] = ENDED
    await watch.read_moved()
    assert await task == ENDED


async def test_all_who_wait_are_answered_by_one_read() -> None:
    stages = FakeStages({JOB.id: ENDED})
    watch = JobWatch(stages)
    tasks = [await waiting(watch) for _ in range(50)]

    watch.receive([JOB.id, JOB.id])
    await watch.read_published()

    assert await asyncio.gather(*tasks) == [ENDED] * 50
    assert stages.asked == [{JOB.id: stage(JOB)}]


async def test_what_nobody_waits_for_is_never_read() -> None:
    stages = FakeStages({JOB.id: ENDED})
    watch = JobWatch(stages)

    watch.receive([JOB.id])
    await watch.read_published()
    await watch.read_moved()

    assert stages.asked == []


async def test_no_read_is_longer_than_a_batch() -> None:
    stages = FakeStages()
    watch = JobWatch(stages)
    async with AsyncExitStack() as stack:
        for number in range(BATCH_MAX + 1):
            await stack.enter_async_context(watch.subscribe(replace(WANTED, job_id=f"vid_{number}")))

        await watch.read_moved()

    assert [len(known) for known in stages.asked] == [BATCH_MAX, 1]


async def test_a_move_during_the_first_read_is_not_missed() -> None:
    watch = JobWatch(FakeStages({JOB.id: ENDED}))

    async def read_while_it_ends() -> Job:
        watch.receive([JOB.id])
        await watch.read_published()
        return JOB

    assert await watch.until_ended(replace(WANTED, read=read_while_it_ends), seconds=SECONDS) == ENDED


async def test_a_wait_answers_with_the_state_when_its_time_is_up() -> None:
    watch = JobWatch(FakeStages())

    assert await watch.until_ended(WANTED, seconds=0.01) == JOB


async def test_beyond_the_limit_a_wait_is_answered_at_once_and_a_stream_refused() -> None:
    watch = JobWatch(FakeStages(), subscriptions_max=1)
    task = await waiting(watch)

    assert await watch.until_ended(WANTED, seconds=SECONDS) == JOB
    with pytest.raises(ServiceError) as refused:
        await watch.subscribe(WANTED).__aenter__()
    assert refused.value.reason is Reason.UNAVAILABLE
    assert int(refused.value.metadata["retry_after_seconds"]) > 0
    task.cancel()


async def test_one_account_takes_half_of_the_places_and_the_next_ones_find_some() -> None:
    watch = JobWatch(FakeStages(), subscriptions_max=16)
    taken = []
    async with AsyncExitStack() as stack:
        for number in range(4):
            wanted = replace(WANTED, account_id=f"acct_{number}")
            count = 0
            with suppress(ServiceError):
                while True:
                    await stack.enter_async_context(watch.subscribe(wanted))
                    count += 1
            taken.append(count)

    assert taken == [8, 4, 2, 1]


async def test_a_place_is_free_again_when_its_call_ends_however_it_ends() -> None:
    watch = JobWatch(FakeStages(), subscriptions_max=1)

    async def read_nothing() -> Job:
        raise ServiceError(Reason.JOB_NOT_FOUND, "There is none.")

    with pytest.raises(ServiceError):
        await watch.until_ended(replace(WANTED, read=read_nothing), seconds=SECONDS)
    task = await waiting(watch)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    async with watch.subscribe(WANTED) as subscription:
        assert subscription.job == JOB


async def test_a_process_that_stops_answers_all_who_wait_and_all_who_come() -> None:
    watch = JobWatch(FakeStages())
    task = await waiting(watch)

    watch.release()

    assert await task == JOB
    assert await watch.until_ended(WANTED, seconds=SECONDS) == JOB
    async with watch.subscribe(WANTED) as subscription:
        assert subscription.is_released


def test_an_older_job_never_replaces_a_newer_one() -> None:
    subscription = Subscription()
    subscription.show(ENDED)

    subscription.show(TAKEN)

    assert subscription.job == ENDED
