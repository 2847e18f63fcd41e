"""The command of docs/postgresql.md for a webhooks database that is older than that of jobs, on a running stack."""

import asyncio
from typing import LiteralString

from services.common.clock import rfc3339, utc_now
from tests.drills.page import run_as_operator
from tests.e2e.customer import VIDEOS, data_of, open_customer
from tests.e2e.local_stack import Stack
from tests.e2e.receiver import Receiver
from tests.faults.evidence import Books, order, until_all_ended
from tests.patience import PATIENCE_SECONDS

BLOCK = "webhooks is older than jobs"
LOSE: tuple[LiteralString, ...] = (
    "DELETE FROM attempts WHERE job_id = %(job_id)s RETURNING job_id",
    "DELETE FROM deliveries WHERE job_id = %(job_id)s RETURNING job_id",
    "DELETE FROM events WHERE job_id = %(job_id)s RETURNING job_id",
)
OPEN: LiteralString = "SELECT job_id FROM heads WHERE job_id = ANY(%(job_ids)s)"
WAITING: LiteralString = "SELECT job_id FROM outbox WHERE job_id = ANY(%(job_ids)s)"


async def test_a_lost_event_comes_again_as_it_was_and_one_that_is_there_does_not(stack: Stack) -> None:
    since, books = rfc3339(utc_now()), Books.of(stack)
    own = stack.create_account()
    async with Receiver().listening() as receiver, open_customer(stack.edge, own.keys["live"]) as customer:
        lost, there = [
            data_of(await customer.send("POST", VIDEOS, order("a boat", hook=receiver.hook(name))))["id"]
            for name in ("lost", "there")
        ]
        await until_all_ended(customer, seconds=PATIENCE_SECONDS)
        for name in ("lost", "there"):
            await receiver.first(name, seconds=PATIENCE_SECONDS)
        await idle(books, lost, there)
        for statement in LOSE:
            assert books.rows("webhooks", statement, job_id=lost)

        for _ in range(2):
            await asyncio.to_thread(run_as_operator, BLOCK, data=stack.folder, SINCE=since)
        first, again = await receiver.several("lost", 2, seconds=PATIENCE_SECONDS)
        await idle(books, lost, there)

    assert (again.body, again.headers["webhook-id"]) == (first.body, first.headers["webhook-id"])
    assert {name: len(came) for name, came in receiver.webhooks.items()} == {"lost": 2, "there": 1}


async def idle(books: Books, *job_ids: str) -> None:
    """Waits until nothing of these jobs is on its way any more."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while books.rows("jobs", WAITING, job_ids=list(job_ids)) or books.rows(  # noqa: ASYNC110
            "webhooks", OPEN, job_ids=list(job_ids)
        ):
            await asyncio.sleep(0.1)
