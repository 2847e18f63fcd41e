"""Usage: kept up day by day, and equal to counting everything anew."""

import itertools
import random  # noqa: TID251 - seeded: every run has the same history
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.common.audit.note import AuditNote
from services.common.clock import utc_now
from services.common.postgres.database import Pool
from services.jobs.domain.claims import Claim
from services.jobs.domain.job import Job, UsageCount
from services.jobs.domain.states import Status
from services.jobs.store.jobs import SqlJobs
from services.jobs.store.queue.work import SqlWork
from services.jobs.store.refunds import SqlRefunds, WantedRefund
from tests.fakes.jobs import FakeJobs
from tests.integration.jobs.api import Api, Refusal, running_api
from tests.integration.jobs.conftest import a_candidate
from tests.unit.jobs.samples import OWNER, a_job

DAY_ONE = datetime(2026, 7, 1, tzinfo=UTC)
DAY_COUNT = 6
JOB_COUNT = 300
RANGE_COUNT = 100
MILLISECOND = timedelta(milliseconds=1)
OWNERS = (OWNER, replace(OWNER, account_id="acct_2"), replace(OWNER, environment="test"))
ROUTE = a_candidate()
NOTE = AuditNote(actor="ops", reason="flicker")


@dataclass
class History:
    """The same jobs in PostgreSQL and in memory."""

    sql: SqlJobs
    work: SqlWork
    refunds: SqlRefunds
    plain: FakeJobs = field(default_factory=FakeJobs)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    async def add(self, *jobs: Job) -> list[Claim]:
        for job in jobs:
            # Nobody can store a job that is older than a few minutes, so it grows old afterwards.
            await self.sql.create(replace(job, created_at=utc_now()))
            async with self.sql._pool.connection() as connection:
                await connection.execute(
                    "UPDATE jobs SET created_at = %s WHERE id = %s", (job.created_at, job.id)
                )
            await self.plain.create(job)
        return await self.work.claim(limit=len(jobs), lease_seconds=600)

    async def start(self, claim: Claim) -> None:
        opened = await self.work.open_attempt(claim, candidates=(ROUTE,), token=f"token-{claim.job.id}")
        await self.work.adopt_task(opened, task_id="cgt-1", seconds=0, event=None)
        self.plain.jobs[claim.job.id] = replace(claim.job, status=Status.PROCESSING)

    async def end(self, claim: Claim, status: Status, *, charged_micros: int = 0) -> None:
        job = claim.job
        ended = replace(
            job,
            status=status,
            ended_at=job.created_at,
            charged_micros=charged_micros,
            refunded_micros=job.reserved_micros - charged_micros,
        )
        await self.work.finish(claim, ended, event=None)
        self.plain.jobs[job.id] = ended

    async def give_back(self, job_id: str, amount_micros: int) -> None:
        """Refunds a completed job, each time anew."""
        refund_id = f"{job_id}-{next(self.numbers)}"
        wanted = WantedRefund(refund_id=refund_id, job_id=job_id, amount_micros=amount_micros, note=NOTE)
        await self.refunds.register(wanted)
        await self.refunds.apply(refund_id, job_id=job_id)
        job = self.plain.jobs[job_id]
        self.plain.jobs[job_id] = replace(job, returned_micros=job.returned_micros + amount_micros)

    async def walk(self, claim: Claim, *, dice: random.Random) -> None:
        """Takes a job as far as the dice say."""
        reserved = claim.job.reserved_micros
        match dice.randrange(5):
            case 0:
                await self.start(claim)
            case 1 | 2:
                charged = dice.choice([reserved, reserved // 3, 0])
                await self.end(claim, Status.COMPLETED, charged_micros=charged)
                for _ in range(dice.randrange(3) if charged > 1 else 0):
                    await self.give_back(claim.job.id, dice.randint(1, charged // 2))
            case 3:
                await self.end(claim, Status.FAILED)


def a_moment(dice: random.Random) -> datetime:
    """Returns a moment of the days in question, often at the very edge of one, or of an hour."""
    midnight = DAY_ONE + dice.randrange(DAY_COUNT) * timedelta(days=1)
    hour = midnight + dice.randrange(24) * timedelta(hours=1)
    edge = dice.choice([timedelta(), -MILLISECOND, MILLISECOND, dice.randrange(86_400_000) * MILLISECOND])
    return dice.choice([midnight, hour]) + edge


def ordered(counts: list[UsageCount]) -> list[UsageCount]:
    return sorted(counts, key=lambda count: (count.day, count.model))


@pytest.fixture
async def api(jobs_pool: Pool) -> AsyncIterator[Api]:
    async with running_api(jobs_pool) as running:
        yield running


@pytest.fixture
def history(api: Api, jobs_pool: Pool) -> History:
    return History(sql=api.jobs, work=api.work, refunds=SqlRefunds(jobs_pool))


async def test_every_read_equals_a_plain_recount_of_a_random_history(history: History) -> None:
    dice = random.Random(20260701)
    claims = await history.add(
        *(
            a_job(
                id=f"vid_{number:026d}",
                owner=dice.choice(OWNERS),
                model=dice.choice(["pro", "fast", "mini"]),
                created_at=a_moment(dice),
                reserved_micros=dice.randrange(1, 10**9),
            )
            for number in range(JOB_COUNT)
        )
    )
    for claim in claims:
        await history.walk(claim, dice=dice)

    for _ in range(RANGE_COUNT):
        owner = dice.choice(OWNERS)
        start, end = sorted([a_moment(dice), a_moment(dice)])
        page: dict[str, Any] = {
            "status": dice.choice([None, *Status]),
            "before_id": dice.choice([None, f"vid_{dice.randrange(JOB_COUNT):026d}"]),
            "limit": dice.randrange(1, 30),
        }
        job_id = f"vid_{dice.randrange(JOB_COUNT):026d}"

        counted = await history.sql.usage(owner=owner, start=start, end=end)
        recounted = await history.plain.usage(owner=owner, start=start, end=end)
        assert ordered(counted) == ordered(recounted), (start, end)
        newest = await history.sql.newest(owner=owner, **page)
        assert newest == await history.plain.newest(owner=owner, **page), page
        assert await history.sql.find(job_id, owner=owner) == await history.plain.find(job_id, owner=owner)


async def test_usage_is_shown_as_documented(api: Api, history: History) -> None:
    days = [DAY_ONE + timedelta(days=number, hours=10) for number in range(3)]
    claims = await history.add(
        *(
            a_job(id=f"vid_{number:026d}", model=model, created_at=moment, reserved_micros=40_000_000)
            for number, (model, moment) in enumerate(
                [("pro", days[0]), ("mini", days[1]), ("mini", days[1]), ("pro", days[2]), ("pro", days[2])]
            )
        )
    )
    by_number = {int(claim.job.id[4:]): claim for claim in claims}
    await history.end(by_number[0], Status.COMPLETED, charged_micros=40_000_000)
    await history.end(by_number[1], Status.COMPLETED, charged_micros=1_050_000)
    await history.end(by_number[2], Status.FAILED)
    await history.start(by_number[3])
    await history.give_back(by_number[0].job.id, 10_500_000)
    asked = {"start": "2026-07-01T00:00:00.000Z", "end": "2026-07-31T23:59:59.999Z", "limit": 2}

    answer = await api.call("Usage.GetUsage", asked, key=api.add_key())

    assert answer == {
        "data": {
            "range": {"start": "2026-07-01T00:00:00.000Z", "end": "2026-07-31T23:59:59.999Z"},
            "summary": counts(1, 1, 2, 1, 120, 89.45, 30.55),
            "by_model": [
                {"model": "mini", **counts(0, 0, 1, 1, 80, 78.95, 1.05)},
                {"model": "pro", **counts(1, 1, 1, 0, 40, 10.5, 29.5)},
            ],
            "timeline": [
                {"date": "2026-07-02", **counts(0, 0, 1, 1, 80, 78.95, 1.05)},
                {"date": "2026-07-03", **counts(1, 1, 0, 0, 0, 0, 0)},
            ],
        }
    }


async def test_usage_without_a_range_covers_the_last_30_days(api: Api, history: History) -> None:
    api.moment = moment = DAY_ONE + timedelta(days=40)
    edge = moment - timedelta(days=30)
    ages = [edge - MILLISECOND, edge, moment, moment + MILLISECOND]
    await history.add(*(a_job(id=f"vid_{number:026d}", created_at=age) for number, age in enumerate(ages)))

    data = (await api.call("Usage.GetUsage", key=api.add_key()))["data"]

    assert data["range"] == {"start": "2026-07-11T00:00:00.000Z", "end": "2026-08-10T00:00:00.000Z"}
    assert data["summary"]["pending_jobs"] == 2


async def test_usage_answers_for_all_time(api: Api, history: History) -> None:
    await history.add(a_job(created_at=DAY_ONE))
    key = api.add_key()
    asked = {"start": "1970-01-01T00:00:00Z", "end": "9999-12-31T23:59:59.999Z"}

    data = (await api.call("Usage.GetUsage", asked, key=key))["data"]
    beyond = await api.call("Usage.GetUsage", {"start": asked["end"], "end": asked["end"]}, key=key)

    assert data["range"] == {"start": "1970-01-01T00:00:00.000Z", "end": "9999-12-31T23:59:59.999Z"}
    assert data["summary"]["total_jobs"] == 1
    assert beyond["data"]["summary"]["total_jobs"] == 0


LIMITS = "Field limit must be greater than or equal to 1 and less than or equal to 365. It was"


async def test_wrong_usage_filters_are_refused(api: Api) -> None:
    key = api.add_key()
    iso = "must be an ISO 8601 date and time with a time zone, such as 2026-07-01T00:00:00.000Z."
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"limit": 0}, f"{LIMITS} 0."),
        ({"limit": 366}, f"{LIMITS} 366."),
        ({"start": "x\u0007"}, f'Field start {iso} It was "x\\u0007".'),
        ({"end": "2026-07-01"}, f'Field end {iso} It was "2026-07-01".'),
        (
            {"start": "2026-07-02T00:00:00Z", "end": "2026-07-01T00:00:00Z"},
            (
                "Field start must not be after the end of the range, 2026-07-01T00:00:00.000Z. "
                'It was "2026-07-02T00:00:00Z".'
            ),
        ),
    ]

    for fields, message in wrong:
        with pytest.raises(Refusal) as refused:
            await api.call("Usage.GetUsage", fields, key=key)

        assert (refused.value.http_status, refused.value.message) == (400, message)


def counts(
    pending: int,
    processing: int,
    completed: int,
    failed: int,
    charged: float,
    refunded: float,
    net: float,
) -> dict[str, float]:
    return {
        "total_jobs": pending + processing + completed + failed,
        "pending_jobs": pending,
        "processing_jobs": processing,
        "completed_jobs": completed,
        "failed_jobs": failed,
        "credits_charged": charged,
        "credits_refunded": refunded,
        "net_credits": net,
    }
