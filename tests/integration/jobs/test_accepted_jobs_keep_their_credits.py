"""Whatever was accepted keeps its credits until somebody works on it, and credits of what was not go back."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from services.common.errors import Reason, ServiceError
from services.common.loop import Duty
from services.jobs.domain.ledger import CREATION_SECONDS_MAX, ORPHAN_SECONDS
from services.jobs.domain.states import State
from services.jobs.duties.release_orphans import release_orphans
from services.jobs.store.jobs import SqlJobs
from services.jobs.store.verification import SqlRecords
from tests.conftest import MakeDatabase
from tests.integration.jobs.books import RESERVED, Books, Plan, open_books

AWAY = timedelta(minutes=30)
JOB_IDS = [f"vid_{number}" for number in range(5)]


@pytest.fixture
async def books(make_database: MakeDatabase) -> AsyncIterator[Books]:
    async with open_books(make_database("jobs"), make_database("billing")) as opened:
        yield opened


async def age(books: Books, by: timedelta) -> None:
    """Makes everything so much older, as if nobody had done anything since."""
    await books.billing.rows(
        "UPDATE holds SET created_at = created_at - %s, expires_at = expires_at - %s", by, by
    )
    async with books.pool.connection() as connection:
        await connection.execute(
            "UPDATE work SET state_since = state_since - %(by)s, due_at = due_at - %(by)s,"
            " admitted_at = admitted_at - %(by)s",
            {"by": by},
        )
        await connection.execute("UPDATE jobs SET created_at = created_at - %s", (by,))


def orphans(books: Books, *, holds_max: int = 2) -> Duty:
    return release_orphans(
        holds=books.holds, records=SqlRecords(books.pool), ledger=books.ledger, holds_max=holds_max
    )


async def go_round(duty: Duty) -> int:
    """Goes through all pages. Returns how many there were."""
    pages = 1
    while await duty.run_once():
        pages += 1
    return pages


async def states(books: Books) -> dict[str, str]:
    rows = await books.billing.rows("SELECT hold_id, state FROM holds")
    return {row["hold_id"]: row["state"] for row in rows}


async def test_after_half_an_hour_without_a_worker_all_accepted_jobs_complete(books: Books) -> None:
    account = await books.billing.account(credits_live=1)
    for job_id in JOB_IDS:
        await books.accept(account, job_id)

    await age(books, AWAY)
    await books.billing.sweep()
    await go_round(orphans(books))
    await books.walk({job_id: Plan() for job_id in JOB_IDS})

    assert await states(books) == dict.fromkeys(JOB_IDS, "captured")
    assert await books.billing.balance(account) == (1_000_000 - len(JOB_IDS) * RESERVED, 0)
    assert (await books.verify())[0] == []


async def test_old_holds_without_a_job_go_back_and_no_others(books: Books) -> None:
    account = await books.billing.account(credits_live=1)
    for hold_id in ("vid_b", "vid_d", "vid_f"):
        await books.billing.hold(hold_id, account, RESERVED)
    for job_id in ("vid_a", "vid_c", "vid_e"):
        await books.accept(account, job_id)
    await books.walk(
        {"vid_a": Plan(until=State.PROCESSING), "vid_c": Plan(until=State.PENDING), "vid_e": Plan()}
    )
    await age(books, timedelta(seconds=ORPHAN_SECONDS))
    await books.billing.hold("vid_g", account, RESERVED)

    duty = orphans(books)
    pages = [await go_round(duty) for _ in range(2)]

    assert pages == [3, 1]
    assert await states(books) == {
        "vid_a": "confirmed",
        "vid_b": "released",
        "vid_c": "provisional",
        "vid_d": "released",
        "vid_e": "captured",
        "vid_f": "released",
        "vid_g": "provisional",
    }


async def test_a_creation_that_stood_still_stores_no_job_whose_hold_may_be_gone(books: Books) -> None:
    account = await books.billing.account(credits_live=1)
    punctual = [books.a_job(account, job_id) for job_id in JOB_IDS]
    late = replace(
        books.a_job(account, "vid_late"),
        created_at=punctual[0].created_at - timedelta(seconds=CREATION_SECONDS_MAX + 1),
    )
    jobs = SqlJobs(books.pool)

    *stored, refused = await asyncio.gather(*map(jobs.create, (*punctual, late)), return_exceptions=True)

    assert stored == [None] * len(JOB_IDS)
    assert isinstance(refused, ServiceError)
    assert refused.reason is Reason.UNAVAILABLE
    assert [job.job_id for job in await SqlRecords(books.pool).page(after_id="", jobs_max=10)] == JOB_IDS


async def test_one_orphan_that_cannot_be_given_back_keeps_no_other(books: Books) -> None:
    account = await books.billing.account(credits_live=1)
    for job_id in JOB_IDS:
        await books.billing.hold(job_id, account, RESERVED)
    await age(books, timedelta(seconds=ORPHAN_SECONDS))
    await books.billing.let_time_run_out(JOB_IDS[0])

    await go_round(orphans(books))

    assert [state for _, state in sorted((await states(books)).items())][1:] == ["released"] * 4
