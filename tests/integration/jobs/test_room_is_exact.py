"""Limits of credentials hold exactly over all workers, and whoever waits for room gets it by turns."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.common.postgres.database import Pool, open_pool
from services.jobs.domain.failures import FailureCode
from services.jobs.store.queue.work import SqlWork
from tests.conftest import MakeDatabase
from tests.integration.jobs.conftest import a_job
from tests.integration.jobs.room import Room, limited

AT_ONCE = 7
JOBS = 40


@pytest.fixture
async def room(make_database: MakeDatabase) -> AsyncIterator[Room]:
    """Two workers with connections of their own."""
    url = make_database("jobs")
    async with (
        open_pool(url, name="one", connections_max=4, plans_once=True) as one,
        open_pool(url, name="two", connections_max=4, plans_once=True) as two,
    ):
        yield Room(pool=one, workers=(SqlWork(one), SqlWork(two)))


async def open_attempts(pool: Pool) -> int:
    async with pool.connection() as connection:
        cursor = await connection.execute("SELECT count(*) AS jobs FROM attempts WHERE outcome IS NULL")
        return int((await cursor.fetchall())[0]["jobs"])


async def test_two_workers_that_race_never_have_more_tasks_than_a_credential_may(room: Room) -> None:
    narrow = (
        limited("a", credential="shared", jobs_at_once=AT_ONCE),
        limited("b", credential="shared", jobs_at_once=AT_ONCE),
    )
    await room.store(*range(1, JOBS + 1))
    claims = await room.claims()
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, await open_attempts(room.pool))
            await asyncio.sleep(0)

    watching = asyncio.create_task(watch())
    begun = await room.begin_all(claims, *narrow)
    assert len(begun) == AT_ONCE
    ended = 0
    while begun:
        ended += len(begun)
        for number, claim in enumerate(begun):
            worker = room.workers[number % 2]
            await worker.give_up(claim, failure=FailureCode.TIMEOUT, detail="")
        assert await room.call_up(*narrow) == min(AT_ONCE, JOBS - ended)
        begun = await room.begin_all(await room.claims(1), *narrow)
    watching.cancel()

    assert ended == JOBS
    assert most == AT_ONCE
    assert await room.waiting() == []


async def test_no_minute_has_more_requests_than_a_credential_may(room: Room) -> None:
    paced = limited(requests_per_minute=2)
    await room.store(*range(1, 11))

    assert len(await room.begin_all(await room.claims(), paced)) == 1
    assert await room.call_up(paced) == 0
    await room.sql("UPDATE credential_states SET next_request_at = now()")
    assert await room.call_up(paced) == 1
    assert len(await room.begin_all(await room.claims(), paced)) == 1
    [state] = await room.sql(
        "SELECT next_request_at - now() > interval '20 s' AS is_later FROM credential_states"
    )
    assert state["is_later"]


async def test_a_job_goes_on_to_the_next_route_when_the_first_is_full(room: Room) -> None:
    first, second = limited("first", jobs_at_once=1), limited("second", jobs_at_once=2)
    await room.store(1, 2, 3, 4)

    begun = [await room.begin(claim, first, second) for claim in await room.claims()]

    assert await room.routes() == ["first", "second", "second"]
    assert begun[3] is None
    assert await room.waiting() == [a_job(4).id]


async def test_who_comes_later_does_not_pass_those_who_wait(room: Room) -> None:
    narrow = limited(jobs_at_once=1)
    await room.store(1, 2)
    first, second = await room.claims()
    begun = await room.begin(first, narrow)
    assert begun is not None
    assert await room.begin(second, narrow) is None
    await room.workers[0].give_up(begun, failure=FailureCode.TIMEOUT, detail="")
    await room.store(3)

    other = limited("other", credential="narrow", jobs_at_once=1)

    [newcomer] = await room.claims()
    assert await room.begin(newcomer, other) is None
    assert await room.call_up(narrow, other) == 1
    [called] = await room.claims()
    assert called.job.id == second.job.id
    assert await room.begin(called, narrow) is not None


async def test_accounts_take_turns_when_there_is_room_again(room: Room) -> None:
    narrow = limited(jobs_at_once=2)
    await room.store(*range(1, 8), account="acct_much")
    begun = await room.begin_all(await room.claims(), narrow)
    await room.store(8, account="acct_less")
    assert await room.begin_all(await room.claims(), narrow) == []
    await room.sql("UPDATE work SET admitted_at = now() - interval '1 h' WHERE account_id = 'acct_much'")

    for claim in begun:
        await room.workers[0].give_up(claim, failure=FailureCode.TIMEOUT, detail="")
    assert await room.call_up(narrow) == 2

    accounts = [claim.job.owner.account_id for claim in await room.claims()]
    assert sorted(accounts) == ["acct_less", "acct_much"]


async def test_a_task_that_no_job_waits_for_still_takes_room(room: Room) -> None:
    narrow = limited(jobs_at_once=1)
    await room.store(1, 2)
    first, second = await room.claims()
    begun = await room.begin(first, narrow)
    assert begun is not None
    await room.workers[0].adopt_task(begun, task_id="cgt-1", seconds=0, event=None)
    [running] = await room.claims()
    await room.workers[0].give_up(running, failure=FailureCode.TIMEOUT, detail="", may_run=True)

    assert await room.begin(second, narrow) is None
    await room.sql("UPDATE strays SET outcome = 'stopped', ended_at = now()")
    assert await room.call_up(narrow) == 1


async def test_a_job_that_waits_looks_for_a_route_itself_if_nobody_calls_it(room: Room) -> None:
    narrow = limited(jobs_at_once=1)
    await room.store(1, 2)
    first, second = await room.claims()
    begun = await room.begin(first, narrow)
    assert begun is not None
    assert await room.begin(second, narrow) is None
    [due] = await room.sql(
        f"SELECT due_at < now() + interval '5 min' AS soon FROM work WHERE job_id = '{second.job.id}'"
    )
    assert due["soon"]
    await room.workers[0].give_up(begun, failure=FailureCode.TIMEOUT, detail="")
    await room.sql(f"UPDATE work SET due_at = now() WHERE job_id = '{second.job.id}'")

    [again] = await room.claims()
    assert await room.begin(again, narrow) is not None
