"""What billing knows of jobs that are forgotten stays as it is: nobody takes it for what was left behind."""

from collections.abc import AsyncIterator

import pytest

from services.common.errors import Reason, ServiceError
from services.jobs.next_moves import Holding, Place
from services.jobs.operations.settle_job import Outcome
from tests.conftest import MakeDatabase
from tests.integration.jobs.books import RESERVED, Books, open_books
from tests.integration.jobs.test_settling import CREDITS, put, settle

FORGET = """
    DELETE FROM jobs;
    INSERT INTO forgotten_jobs (low, high, made_before) VALUES ('vid_', 'vid_zzz', now() + interval '1 day')
"""


@pytest.fixture
async def books(make_database: MakeDatabase) -> AsyncIterator[Books]:
    async with open_books(make_database("jobs"), make_database("billing")) as opened:
        yield opened


async def test_the_books_of_forgotten_jobs_agree_and_nothing_is_given_back_for_them(books: Books) -> None:
    account = await books.billing.account(credits_live=1)
    for place, holding in ((Place.COMPLETED, Holding.TAKEN), (Place.FAILED, Holding.BACK)):
        await put(books, account, place, holding)
    await books.sql(FORGET)

    assert (await books.verify())[0] == []
    assert await books.reconcile() == []
    with pytest.raises(ServiceError) as caught:
        await settle(books, f"vid_{Place.COMPLETED.name}_{Holding.TAKEN.name}", Outcome.FAILED)

    assert caught.value.reason is Reason.JOB_NOT_FOUND
    assert await books.billing.balance(account) == (CREDITS - RESERVED, 0)


async def test_a_hold_that_nobody_resolved_is_found_whatever_is_forgotten(books: Books) -> None:
    account = await books.billing.account(credits_live=1)
    job_id = await put(books, account, Place.NOWHERE, Holding.OPEN)
    await books.billing.confirm(job_id)
    await books.sql(FORGET)

    assert [found.row for found in (await books.verify())[0]] == [f"holds {job_id}"]
