"""The doubles that other tests use answer as the real parts do: both pass what is said here of their port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from services.common.clock import utc_now
from services.common.errors import Reason, ServiceError
from services.jobs.domain.job import Job
from services.jobs.domain.ledger import HoldState
from services.jobs.domain.requests import Owner
from services.jobs.domain.states import Status
from services.jobs.ports import Holds, Jobs, Ledger
from services.jobs.store.jobs import SqlJobs
from tests.conftest import MakeDatabase
from tests.fakes.jobs import FakeJobs, FakeLedger
from tests.integration.billing.running import CREDIT
from tests.integration.jobs.books import open_books
from tests.integration.jobs.conftest import OWNER, a_job

STRANGERS = (replace(OWNER, account_id="acct_2"), replace(OWNER, environment="test"))


@pytest.fixture(params=["double", "real"])
def jobs(request: pytest.FixtureRequest) -> Jobs:
    return FakeJobs() if request.param == "double" else SqlJobs(request.getfixturevalue("jobs_pool"))


async def created(jobs: Jobs, *numbers: int) -> list[Job]:
    made = [replace(a_job(number), created_at=utc_now().replace(microsecond=0)) for number in numbers]
    for job in made:
        await jobs.create(job)
    return made


async def test_only_its_owner_finds_a_job(jobs: Jobs) -> None:
    [job] = await created(jobs, 1)

    assert await jobs.get(job.id, owner=OWNER) == job
    for stranger in STRANGERS:
        with pytest.raises(ServiceError) as refused:
            await jobs.get(job.id, owner=stranger)
        assert refused.value.reason is Reason.JOB_NOT_FOUND


async def test_a_job_that_is_created_again_stays_as_it_was(jobs: Jobs) -> None:
    [job] = await created(jobs, 1)

    await jobs.create(replace(job, price_version="2"))

    assert await jobs.get(job.id, owner=OWNER) == job


async def test_jobs_are_listed_from_newest_to_oldest(jobs: Jobs) -> None:
    first, second, third = await created(jobs, 1, 2, 3)

    async def listed(
        status: Status | None = None, before: Job | None = None, offset: int = 0, owner: Owner = OWNER
    ) -> list[Job]:
        before_id = None if before is None else before.id
        return await jobs.newest(owner=owner, status=status, before_id=before_id, limit=2, offset=offset)

    assert await listed() == [third, second]
    assert await listed(offset=1) == [second, first]
    assert await listed(before=third) == [second, first]
    assert await listed(status=Status.PENDING, before=second) == [first]
    assert await listed(status=Status.FAILED) == []
    assert await listed(owner=STRANGERS[0]) == []


async def test_usage_counts_the_jobs_from_the_first_moment_to_the_last(jobs: Jobs) -> None:
    [job, _] = await created(jobs, 1, 2)

    async def pending(start: timedelta, end: timedelta) -> int:
        counts = await jobs.usage(owner=OWNER, start=job.created_at + start, end=job.created_at + end)
        return sum(count.pending for count in counts)

    hour, moment, minute = timedelta(hours=1), timedelta(), timedelta(minutes=1)
    assert await pending(-hour, minute) == 2
    assert await pending(moment, minute) == 2
    assert await pending(-hour, -minute) == 0


@dataclass
class Purse:
    """A ledger, and an owner that has 50 credits."""

    ledger: Ledger
    holds: Holds
    owner: Owner


@asynccontextmanager
async def open_purse(kind: str, make_database: MakeDatabase) -> AsyncIterator[Purse]:
    if kind == "double":
        double = FakeLedger(available_micros={(OWNER.account_id, OWNER.environment): 50 * CREDIT})
        yield Purse(double, double, OWNER)
        return
    async with open_books(make_database("jobs"), make_database("billing")) as books:
        account_id = await books.billing.account(credits_live=50)
        yield Purse(books.ledger, books.holds, replace(OWNER, account_id=account_id))


@pytest.fixture(params=["double", "real"])
async def purse(request: pytest.FixtureRequest, make_database: MakeDatabase) -> AsyncIterator[Purse]:
    async with open_purse(request.param, make_database) as opened:
        yield opened


async def held(purse: Purse, hold_id: str, amount: int) -> None:
    await purse.ledger.hold(hold_id, owner=purse.owner, key_id="", amount_micros=amount * CREDIT)


async def test_a_repeated_hold_sets_its_credits_aside_once(purse: Purse) -> None:
    await held(purse, "vid_1", 30)
    await held(purse, "vid_1", 30)
    await held(purse, "vid_2", 20)
    with pytest.raises(ServiceError) as refused:
        await held(purse, "vid_3", 1)

    assert refused.value.reason is Reason.CREDITS_INSUFFICIENT
    assert [hold.hold_id for hold in await purse.holds.page(after_id="", holds_max=9)] == ["vid_1", "vid_2"]
    assert [hold.hold_id for hold in await purse.holds.get(["vid_2", "vid_3"])] == ["vid_2"]
    assert await purse.ledger.find("vid_3") is None


async def test_a_hold_is_resolved_once(purse: Purse) -> None:
    await held(purse, "vid_1", 30)
    await held(purse, "vid_2", 20)
    for _ in range(2):
        await purse.ledger.confirm("vid_1", lasts_seconds=60)
    for _ in range(2):
        await purse.ledger.capture("vid_1", amount_micros=10 * CREDIT)
        await purse.ledger.release("vid_2")

    with pytest.raises(ServiceError) as captured:
        await purse.ledger.release("vid_1")
    with pytest.raises(ServiceError) as released:
        await purse.ledger.capture("vid_2", amount_micros=CREDIT)
    with pytest.raises(ServiceError) as unknown:
        await purse.ledger.release("vid_3")

    reasons = [error.value.reason for error in (captured, released, unknown)]
    assert reasons == [Reason.HOLD_CAPTURED, Reason.HOLD_RELEASED, Reason.HOLD_NOT_FOUND]
    first, second = await purse.holds.get(["vid_1", "vid_2"])
    assert (first.state, first.captured_micros) == (HoldState.CAPTURED, 10 * CREDIT)
    assert (second.state, second.captured_micros) == (HoldState.RELEASED, 0)


async def test_a_repeated_refund_is_made_once(purse: Purse) -> None:
    await held(purse, "vid_1", 30)
    await purse.ledger.confirm("vid_1", lasts_seconds=60)
    await purse.ledger.capture("vid_1", amount_micros=30 * CREDIT)

    for _ in range(2):
        await purse.ledger.refund("refund_1", hold_id="vid_1", amount_micros=CREDIT, reason="goodwill")
    with pytest.raises(ServiceError) as refused:
        await purse.ledger.refund("refund_1", hold_id="vid_1", amount_micros=2 * CREDIT, reason="goodwill")

    assert refused.value.reason is Reason.REFUND_MISMATCH
    hold = await purse.ledger.find("vid_1")
    assert hold is not None
    assert hold.refunded_micros == CREDIT
