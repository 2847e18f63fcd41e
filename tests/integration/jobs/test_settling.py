"""Whatever became of a job and its hold, an operator can end it, and then the books agree."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from services.common.errors import Reason, ServiceError
from services.jobs.domain.states import Status
from services.jobs.next_moves import Holding, Place
from services.jobs.operations.settle_job import Outcome, Settled, settle_job
from services.jobs.store.jobs import SqlJobs
from tests.conftest import MakeDatabase
from tests.integration.billing.books import broken_rules
from tests.integration.jobs.books import NOTE, OUTPUT, RESERVED, Books, Plan, open_books

CREDITS = 1_000_000
UNFINISHED = (Place.PENDING, Place.SUBMITTING, Place.PROCESSING, Place.STORED, Place.FAILING)
WITHOUT_RESULT = (Place.PENDING, Place.SUBMITTING, Place.PROCESSING, Place.FAILING)
CHARGES = {Place.COMPLETED: RESERVED, Place.FREE: 0, Place.FAILED: 0}


@pytest.fixture
async def books(make_database: MakeDatabase) -> AsyncIterator[Books]:
    async with open_books(make_database("jobs"), make_database("billing")) as opened:
        yield opened


async def put(books: Books, account: str, place: Place, holding: Holding) -> str:
    """Has a job and its hold be where a table says. Returns the id."""
    job_id = f"vid_{place.name}_{holding.name}"
    await put_hold(books, account, job_id, holding)
    if place is Place.NOWHERE:
        return job_id
    await SqlJobs(books.pool).create(books.a_job(account, job_id))
    [claim] = await books.work.claim(limit=1, lease_seconds=600)
    if place in CHARGES:
        charged = CHARGES[place]
        ended = replace(
            claim.job,
            status=Status.FAILED if place is Place.FAILED else Status.COMPLETED,
            charged_micros=charged,
            refunded_micros=RESERVED - charged,
            ended_at=datetime(2026, 7, 1, tzinfo=UTC),
        )
        await books.work.finish(claim, ended, event=None)
        return job_id
    await books.sql(
        f"UPDATE work SET state = '{place}', due_at = 'infinity', lease_until = '-infinity' WHERE job_id = '{job_id}'"
    )
    if place is Place.STORED:
        await books.sql(
            f"UPDATE jobs SET status = 'processing', video_url = '{OUTPUT.video_url}',"
            f" thumbnail_url = '{OUTPUT.thumbnail_url}', output_seconds = {OUTPUT.duration_seconds}"
            f" WHERE id = '{job_id}'; INSERT INTO attempts (id, job_id, number, route, upstream_model, token, lease_no)"
            f" VALUES ('{job_id}-1', '{job_id}', 1, 'simulator', 'm', 'token-{job_id}', 1)"
        )
    return job_id


async def put_hold(books: Books, account: str, job_id: str, holding: Holding) -> None:
    if holding is Holding.NONE:
        return
    await books.billing.hold(job_id, account, RESERVED)
    if holding is Holding.BACK:
        await books.billing.release(job_id)
    elif holding is not Holding.OPEN:
        await books.billing.capture(job_id, RESERVED)
        if holding is Holding.RETURNED:
            await books.billing.refund(f"refund_{job_id}", job_id, RESERVED)


async def settle(books: Books, job_id: str, outcome: Outcome) -> Settled:
    """Settles a job while a worker is there."""

    async def work(_: float) -> None:
        await books.walk({job_id: Plan()})

    return await settle_job(job_id, outcome=outcome, note=NOTE, mender=books.mender(), pause=work)


async def assert_paid_for_what_is_seen(books: Books, account: str) -> None:
    """Nothing is left unfinished, customers paid for their videos and nothing else, and all books agree."""
    [seen] = await books.sql(
        "SELECT coalesce(sum(charged_micros - returned_micros), 0)::bigint AS micros,"
        " count(*) FILTER (WHERE status NOT IN ('completed', 'failed')) AS unfinished FROM jobs"
    )
    assert seen["unfinished"] == 0
    assert await books.billing.balance(account) == (CREDITS - seen["micros"], 0)
    assert (await books.verify())[0] == []
    assert broken_rules(books.billing.database_url) == {}


@pytest.mark.parametrize("place", UNFINISHED)
async def test_every_unfinished_job_can_be_settled_as_failed(books: Books, place: Place) -> None:
    account = await books.billing.account(credits_live=1)
    for holding in Holding:
        job_id = await put(books, account, place, holding)

        settled = await settle(books, job_id, Outcome.FAILED)

        assert (settled.job_before, settled.job_after) == (place, Place.FAILED)
        assert settled.given_back_micros == (RESERVED if holding in {Holding.OPEN, Holding.TAKEN} else 0)
    await assert_paid_for_what_is_seen(books, account)


@pytest.mark.parametrize("place", [Place.PENDING, Place.STORED, Place.FAILING])
async def test_workers_alone_end_every_unfinished_job(books: Books, place: Place) -> None:
    account = await books.billing.account(credits_live=1)
    for holding in Holding:
        job_id = await put(books, account, place, holding)
        await books.sql("UPDATE work SET due_at = now()")
        await books.walk({job_id: Plan()})

    await books.reconcile()
    await assert_paid_for_what_is_seen(books, account)


@pytest.mark.parametrize("holding", Holding)
async def test_a_job_that_fails_gives_back_whatever_is_kept_of_its_hold(
    books: Books, holding: Holding
) -> None:
    account = await books.billing.account(credits_live=1)
    job_id = await put(books, account, Place.FAILING, holding)
    await books.sql("UPDATE work SET due_at = now()")

    await books.walk({job_id: Plan()})

    await assert_paid_for_what_is_seen(books, account)


async def test_every_job_with_a_result_can_be_settled_as_completed(books: Books) -> None:
    account = await books.billing.account(credits_live=1)
    ends = {}
    for holding in Holding:
        job_id = await put(books, account, Place.STORED, holding)
        ends[holding] = (await settle(books, job_id, Outcome.COMPLETED)).job_after

    # What can no longer be charged is not delivered either.
    assert ends == {**dict.fromkeys(Holding, Place.COMPLETED), Holding.BACK: Place.FAILED}
    await assert_paid_for_what_is_seen(books, account)


@pytest.mark.parametrize("place", [Place.COMPLETED, Place.FREE, Place.FAILED])
async def test_the_hold_of_every_job_that_has_ended_is_made_to_agree(books: Books, place: Place) -> None:
    account = await books.billing.account(credits_live=1)
    outcome = Outcome.FAILED if place is Place.FAILED else Outcome.COMPLETED
    for holding in Holding:
        await settle(books, await put(books, account, place, holding), outcome)

    await assert_paid_for_what_is_seen(books, account)


async def test_a_job_that_lost_its_work_can_be_settled(books: Books) -> None:
    account = await books.billing.account(credits_live=1)
    job_id = await put(books, account, Place.PROCESSING, Holding.OPEN)
    await books.sql("DELETE FROM work")

    settled = await settle(books, job_id, Outcome.FAILED)

    assert settled.job_after is Place.FAILED
    await assert_paid_for_what_is_seen(books, account)


async def test_a_hold_without_a_job_goes_back(books: Books) -> None:
    account = await books.billing.account(credits_live=1)
    for holding in set(Holding) - {Holding.NONE}:
        await settle(books, await put(books, account, Place.NOWHERE, holding), Outcome.FAILED)

    await assert_paid_for_what_is_seen(books, account)


async def test_settling_twice_changes_nothing_more(books: Books) -> None:
    account = await books.billing.account(credits_live=1)
    job_id = await put(books, account, Place.STORED, Holding.TAKEN)
    await settle(books, job_id, Outcome.FAILED)

    again = await settle(books, job_id, Outcome.FAILED)

    assert (again.job_before, again.job_after, again.given_back_micros) == (Place.FAILED, Place.FAILED, 0)
    await assert_paid_for_what_is_seen(books, account)


@pytest.mark.parametrize("place", WITHOUT_RESULT)
async def test_a_job_without_a_result_cannot_be_settled_as_completed(books: Books, place: Place) -> None:
    job_id = await put(books, await books.billing.account(credits_live=1), place, Holding.OPEN)

    with pytest.raises(ServiceError) as refused:
        await settle(books, job_id, Outcome.COMPLETED)

    assert refused.value.reason is Reason.JOB_NOT_COMPLETED


@pytest.mark.parametrize(
    ("place", "outcome"), [(Place.COMPLETED, Outcome.FAILED), (Place.FAILED, Outcome.COMPLETED)]
)
async def test_what_customers_were_told_is_not_turned_into_its_opposite(
    books: Books, place: Place, outcome: Outcome
) -> None:
    account = await books.billing.account(credits_live=1)
    job_id = await put(books, account, place, Holding.BACK)

    with pytest.raises(ServiceError) as refused:
        await settle(books, job_id, outcome)

    assert refused.value.reason is Reason.JOB_ENDED


async def test_every_settlement_is_on_record(books: Books) -> None:
    account = await books.billing.account(credits_live=1)
    for place, holding, outcome in (
        (Place.PENDING, Holding.OPEN, Outcome.FAILED),
        (Place.STORED, Holding.OPEN, Outcome.COMPLETED),
        (Place.COMPLETED, Holding.OPEN, Outcome.COMPLETED),
        (Place.COMPLETED, Holding.BACK, Outcome.COMPLETED),
    ):
        await settle(books, await put(books, account, place, holding), outcome)

    entries = await books.sql(
        "SELECT action, actor, reason, details ->> 'move' AS move FROM audit ORDER BY number"
    )
    assert [entry["move"] for entry in entries] == [
        "give_up",
        "release",
        "complete",
        "capture",
        "waive",
    ]
    assert {(entry["action"], entry["actor"], entry["reason"]) for entry in entries} == {
        ("job.settle", NOTE.actor, NOTE.reason)
    }
