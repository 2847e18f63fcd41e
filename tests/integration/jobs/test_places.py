"""How many jobs may be at providers at once, and who comes next."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from psycopg.errors import CheckViolation

from services.common.audit.note import AuditNote
from services.common.clock import utc_now
from services.common.paging import moment_in
from services.common.postgres.database import Pool
from services.jobs.domain.claims import Claim
from services.jobs.domain.failures import FailureCode
from services.jobs.domain.job import Job
from services.jobs.domain.requests import Caps
from services.jobs.domain.states import State, Status
from services.jobs.duties.end_waits import end_waits
from services.jobs.store.admission.waiting import SqlWaiting
from services.jobs.store.jobs import SqlJobs
from services.jobs.store.queue.controls import SqlControls
from services.jobs.store.queue.withdrawals import SqlWithdrawals
from services.jobs.store.queue.work import SqlWork
from services.jobs.timing import WAIT_SECONDS_MAX
from tests.integration.jobs.conftest import OWNER
from tests.integration.jobs.conftest import a_job as sample
from tests.patience import PATIENCE_SECONDS

ROOMY = Caps(account_jobs=1_000, key_jobs=1_000)
ONE = Caps(account_jobs=1, key_jobs=1)
NOTE = AuditNote(actor="ops@example", reason="stuck")
HELD_SECONDS = 600.0


def a_job(number: int, *, key: str = "key_1", account: str = "acct_1", environment: str = "live") -> Job:
    owner = replace(OWNER, account_id=account, environment=environment)
    return replace(sample(number), owner=owner, key_id=key)


def number_of(job: Job) -> int:
    return int(job.id.removeprefix("vid_"))


@dataclass
class World:
    """A jobs database, two API processes and two workers on it, each with a store of its own."""

    pool: Pool
    notified: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.apis = [SqlJobs(self.pool), SqlJobs(self.pool)]
        self.waitings = [SqlWaiting(self.pool, notify=lambda: self.notified.append(True)) for _ in range(2)]
        self.workers = [SqlWork(self.pool, waiting=waiting) for waiting in self.waitings]

    async def create(self, *jobs: Job, caps: Caps) -> None:
        """Creates jobs one after the other."""
        for job in jobs:
            await self.apis[0].create(job, caps=caps)

    async def claim(self, limit: int = 1_000) -> list[Claim]:
        """Takes what is due, oldest first."""
        claims = await self.workers[0].claim(limit=limit, lease_seconds=HELD_SECONDS)
        return sorted(claims, key=lambda claim: claim.job.id)

    async def numbers(self) -> list[int]:
        return [number_of(claim.job) for claim in await self.claim()]

    async def end(self, claim: Claim, *, worker: int = 0) -> None:
        """Fails a job."""
        work = self.workers[worker]
        failing = await work.give_up(claim, failure=FailureCode.GENERATION_FAILED, detail="")
        ended = replace(
            failing.job,
            status=Status.FAILED,
            refunded_micros=failing.job.reserved_micros,
            ended_at=utc_now(),
        )
        await work.finish(failing, ended, event=None)

    async def sql(self, statement: str) -> list[dict[str, Any]]:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(statement.encode())
            return await cursor.fetchall() if cursor.description else []


@pytest.fixture
async def world(jobs_pool: Pool) -> World:
    return World(jobs_pool)


async def test_jobs_above_the_cap_of_the_account_wait_and_follow_by_age(world: World) -> None:
    await world.create(*map(a_job, range(5)), caps=Caps(account_jobs=2, key_jobs=9))

    first, second = await world.claim()
    await world.end(second)
    third = await world.claim()
    await world.end(first)
    await world.end(third[0])

    assert [number_of(claim.job) for claim in (first, second, *third)] == [0, 1, 2]
    assert await world.numbers() == [3, 4]
    assert len(world.notified) == 3


async def test_a_key_has_a_cap_of_its_own_and_its_queue_blocks_no_other_key(world: World) -> None:
    caps = Caps(account_jobs=4, key_jobs=2)
    jobs = [a_job(number, key="key_1") for number in range(5)]
    jobs += [a_job(number, key="key_2") for number in range(5, 9)]
    await world.create(*jobs, caps=caps)

    claims = await world.claim()
    await world.end(claims[0])
    following = await world.numbers()
    await world.end(claims[2])

    assert [number_of(claim.job) for claim in claims] == [0, 1, 5, 6]
    assert following == [2]
    assert await world.numbers() == [7]


async def test_the_oldest_of_all_keys_is_let_in_first(world: World) -> None:
    caps = Caps(account_jobs=1, key_jobs=1)
    await world.create(*(a_job(number, key=f"key_{5 - number}") for number in range(5)), caps=caps)

    order = []
    for _ in range(5):
        [claim] = await world.claim()
        order.append(number_of(claim.job))
        await world.end(claim)

    assert order == [0, 1, 2, 3, 4]


async def test_a_new_job_does_not_overtake_one_that_waits(world: World) -> None:
    await world.create(a_job(0), a_job(1), caps=ONE)
    [claim] = await world.claim()
    await world.sql("DELETE FROM work WHERE job_id LIKE '%0'")

    await world.create(a_job(2), caps=ONE)

    assert number_of(claim.job) == 0
    assert await world.numbers() == [1]


async def test_live_and_test_jobs_are_capped_apart(world: World) -> None:
    live = [a_job(number) for number in range(2)]
    test = [a_job(number, environment="test") for number in range(2, 4)]

    await world.create(*live, *test, caps=ONE)

    assert await world.numbers() == [0, 2]


async def test_a_raised_cap_lets_waiting_jobs_in_at_the_next_creation_and_holds_from_then_on(
    world: World,
) -> None:
    await world.create(*map(a_job, range(4)), caps=ONE)
    [claim] = await world.claim()

    await world.create(a_job(4), caps=Caps(account_jobs=3, key_jobs=3))
    raised = await world.numbers()
    await world.end(claim)

    assert raised == [1, 2]
    assert await world.numbers() == [3]


async def test_a_lowered_cap_lets_nobody_in_until_enough_have_ended(world: World) -> None:
    await world.create(*map(a_job, range(3)), caps=ROOMY)
    first, second, third = await world.claim()
    await world.create(a_job(3), caps=ONE)

    await world.end(first)
    await world.end(second)
    before = await world.numbers()
    await world.end(third)

    assert before == []
    assert await world.numbers() == [3]


@pytest.mark.parametrize("caps", [Caps(account_jobs=6, key_jobs=9), Caps(account_jobs=9, key_jobs=3)])
async def test_providers_never_have_more_than_the_cap_whoever_creates_and_works(
    world: World, caps: Caps
) -> None:
    most = {"account": 0, "key": 0}
    at_providers: list[Job] = []
    waiting = 60

    async def create(api: SqlJobs, numbers: Sequence[int]) -> None:
        await asyncio.gather(
            *(api.create(a_job(number, key=f"key_{number % 2}"), caps=caps) for number in numbers)
        )

    async def render(worker: int) -> None:
        while waiting:
            for claim in await world.workers[worker].claim(limit=3, lease_seconds=HELD_SECONDS):
                at_providers.append(claim.job)
                keys = [job.key_id for job in at_providers]
                most["account"] = max(most["account"], len(keys))
                most["key"] = max(most["key"], *map(keys.count, keys))
                await asyncio.sleep(number_of(claim.job) % 3 / 100)
                at_providers.remove(claim.job)
                await finish(worker, claim)
            await world.waitings[worker].admit()

    async def finish(worker: int, claim: Claim) -> None:
        nonlocal waiting
        await world.end(claim, worker=worker)
        waiting -= 1

    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
        group.create_task(create(world.apis[0], range(30)))
        group.create_task(create(world.apis[1], range(30, 60)))
        for worker in (0, 1, 0, 1, 0, 1):
            group.create_task(render(worker))

    assert 0 < most["account"] <= caps.account_jobs
    assert 0 < most["key"] <= caps.key_jobs


async def test_creations_at_once_in_two_processes_fill_the_cap_exactly(world: World) -> None:
    caps = Caps(account_jobs=7, key_jobs=7)

    await asyncio.gather(*(world.apis[number % 2].create(a_job(number), caps=caps) for number in range(40)))

    assert len(await world.numbers()) == 7


async def test_a_creation_that_is_refused_by_the_database_leaves_nothing_behind(world: World) -> None:
    with pytest.raises(CheckViolation):
        await world.create(replace(a_job(0), reserved_micros=0), caps=ONE)
    await world.create(a_job(1), caps=ONE)

    assert await world.numbers() == [1]
    assert len(await world.sql("SELECT id FROM jobs")) == 1


async def test_an_account_with_ten_thousand_jobs_does_not_delay_anothers_first(world: World) -> None:
    await world.create(*(a_job(number, account="acct_big") for number in range(3)), caps=ONE)
    await world.sql(
        "INSERT INTO jobs (id, account_id, environment, contract, status, model, input, price_version,"
        " micros_per_second, reserved_micros, created_at, key_id)"
        " SELECT 'vid_' || lpad(n::text, 26, '0'), 'acct_big', 'live', 'seedancee2', 'pending', 'mini', input, '1',"
        " 1, 1, now(), 'key_1' FROM jobs CROSS JOIN generate_series(10, 10009) AS n"
        " WHERE id = 'vid_00000000000000000000000000';"
        "INSERT INTO work (job_id, state, account_id, environment, key_id, admitted_at, due_at)"
        " SELECT id, 'pending', account_id, environment, key_id, NULL, 'infinity'"
        " FROM jobs WHERE price_version = '1' AND reserved_micros = 1"
    )

    await world.create(a_job(20_000, account="acct_small"), caps=ONE)
    first = await world.claim(limit=2)

    assert [claim.job.owner.account_id for claim in first] == ["acct_big", "acct_small"]
    await world.end(first[0])
    assert await world.numbers() == [1]


async def test_a_place_whose_giver_died_is_given_away_by_the_next_round(world: World) -> None:
    await world.create(a_job(0), a_job(1), caps=ONE)
    await world.sql("DELETE FROM work WHERE job_id LIKE '%0'")

    before = await world.numbers()
    admitted = await world.waitings[1].admit()

    assert before == []
    assert admitted == 1
    assert world.notified == [True]
    assert await world.numbers() == [1]


async def test_a_round_goes_through_all_accounts_in_turn(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.jobs.store.admission.waiting.OWNERS_MAX", 2)
    for number in range(0, 10, 2):
        await world.create(
            a_job(number, account=f"acct_{number}"), a_job(number + 1, account=f"acct_{number}"), caps=ONE
        )
    await world.sql("DELETE FROM work WHERE admitted_at IS NOT NULL")

    admitted = [await world.waitings[0].admit() for _ in range(4)]

    assert admitted == [2, 2, 1, 0]


async def test_a_waiting_job_can_be_failed_and_rechecking_it_lets_it_not_in(world: World) -> None:
    controls = SqlControls(world.pool)
    await world.create(*map(a_job, range(3)), caps=ONE)
    await world.claim()

    rechecked = await controls.recheck(a_job(1).id, note=NOTE)
    due = await world.numbers()
    failed = await controls.fail(a_job(2).id, failure=FailureCode.GENERATION_FAILED, note=NOTE)
    [failing] = await world.claim()
    listed = await controls.unfinished(
        state=State.PENDING, age_seconds_min=0, stalled=False, after=moment_in(""), limit=10
    )

    assert (rechecked, failed) == (True, True)
    assert due == []
    assert (number_of(failing.job), failing.state) == (2, State.FAILING)
    assert {job.job_id: job.due_at is None for job in listed} == {a_job(0).id: False, a_job(1).id: True}


async def test_a_job_that_waited_too_long_is_given_up_and_no_other(world: World) -> None:
    await world.create(*map(a_job, range(3)), caps=ONE)
    await world.claim()
    await world.sql(
        f"UPDATE work SET state_since = now() - interval '{WAIT_SECONDS_MAX + 1} s' WHERE job_id <> '{a_job(2).id}'"
    )

    duty = end_waits(waiting=world.waitings[0], withdrawals=SqlWithdrawals(world.pool))
    counts = [await duty.run_once() for _ in range(2)]

    assert counts == [1, 0]
    [claim] = await world.claim()
    assert (number_of(claim.job), claim.state, claim.job.failure) == (1, State.FAILING, FailureCode.TIMEOUT)
