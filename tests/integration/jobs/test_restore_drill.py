"""One database is restored from a copy and the other is not: after reconciling, all is as if nothing had happened.

Every job ends, customers pay exactly for what they can see, and the books agree.
"""

from collections.abc import Callable
from datetime import timedelta

from services.jobs.domain.states import State
from services.jobs.next_moves import Move
from tests.conftest import MakeDatabase
from tests.integration.billing.books import broken_rules
from tests.integration.jobs.books import RESERVED, Books, Plan, open_books

CREDITS = 1_000_000
COMPLETED, FAILED, SHORTER = Plan(), Plan(is_to_fail=True), Plan(delivered_seconds=3)
LATER = {"completed": COMPLETED, "failed": FAILED, "shorter": SHORTER}
AT = {
    "pending": Plan(until=State.PENDING),
    "submitting": Plan(until=State.SUBMITTING),
    "processing": Plan(until=State.PROCESSING),
    "stored": Plan(until=State.STORED),
    "failing": Plan(is_to_fail=True, until=State.FAILING),
}
BEFORE = {f"vid_{at}_then_{later}": (plan, LATER[later]) for at, plan in AT.items() for later in LATER}
"""Jobs that the copy knows: where each is when it is taken, and what becomes of it after that."""
GONE = {f"vid_gone_{later}": plan for later, plan in LATER.items()}
AFTER = {f"vid_new_{at}": plan for at, plan in {**AT, **LATER}.items()}
"""Jobs that the copy does not know."""


async def before_the_copy(books: Books) -> str:
    account = await books.billing.account(credits_live=1)
    for job_id in (*BEFORE, *GONE):
        await books.accept(account, job_id)
    await books.walk({**{job_id: at for job_id, (at, _) in BEFORE.items()}, **GONE})
    await books.give_back("vid_gone_completed", 3)
    return account


async def after_the_copy(books: Books, account: str) -> None:
    await books.sql("UPDATE work SET due_at = now()")
    await books.walk({job_id: later for job_id, (_, later) in BEFORE.items()})
    for job_id in AFTER:
        await books.accept(account, job_id)
    await books.walk(AFTER)
    await books.give_back("vid_gone_completed", 4)
    await books.give_back("vid_gone_shorter", 5)
    await books.give_back("vid_new_completed", 6)


async def after_the_restore(books: Books) -> set[str]:
    """Reconciles when all is old enough, and lets the workers do the rest. Returns the moves that were made."""
    an_hour = timedelta(hours=1)
    await books.billing.rows("UPDATE holds SET created_at = created_at - %s", an_hour)
    trial = await books.reconcile(is_trial=True)
    mended = await books.reconcile()
    await books.sql("UPDATE work SET due_at = now(), lease_until = '-infinity'")
    left = {row["job_id"] for row in await books.sql("SELECT job_id FROM work")}
    await books.walk(dict.fromkeys(left, COMPLETED))
    again = await books.reconcile()

    assert [(each.job_id, each.move) for each in trial] == [(each.job_id, each.move) for each in mended]
    assert [each for each in mended if each.refusal] == []
    assert again == []
    return {each.move for each in mended}


async def assert_all_is_well(books: Books, account: str) -> None:
    jobs = await books.sql("SELECT id, status, charged_micros, returned_micros FROM jobs")
    paid = sum(job["charged_micros"] - job["returned_micros"] for job in jobs)
    assert {job["status"] for job in jobs} == {"completed", "failed"}
    assert await books.sql("SELECT job_id FROM work") == []
    assert await books.billing.balance(account) == (CREDITS - paid, 0)
    assert (await books.verify())[0] == []
    assert broken_rules(books.billing.database_url) == {}


async def test_billing_is_restored_and_jobs_is_not(
    make_database: MakeDatabase, copy_database: Callable[[str], str]
) -> None:
    jobs_url, billing_url = make_database("jobs"), make_database("billing")
    async with open_books(jobs_url, billing_url) as books:
        account = await before_the_copy(books)
    copied = copy_database(billing_url)
    async with open_books(jobs_url, billing_url) as books:
        await after_the_copy(books, account)
        expected = {
            job["id"]: job for job in await books.sql("SELECT * FROM jobs WHERE ended_at IS NOT NULL")
        }

    async with open_books(jobs_url, copied) as books:
        moves = await after_the_restore(books)

        await assert_all_is_well(books, account)
        jobs = {job["id"]: job for job in await books.sql("SELECT * FROM jobs")}
    assert {job_id: jobs[job_id] for job_id in expected} == expected
    assert {Move.HOLD, Move.CAPTURE, Move.CHARGE, Move.RELEASE} < moves


async def test_jobs_is_restored_and_billing_is_not(
    make_database: MakeDatabase, copy_database: Callable[[str], str]
) -> None:
    jobs_url, billing_url = make_database("jobs"), make_database("billing")
    async with open_books(jobs_url, billing_url) as books:
        account = await before_the_copy(books)
    copied = copy_database(jobs_url)
    async with open_books(jobs_url, billing_url) as books:
        await after_the_copy(books, account)

    async with open_books(copied, billing_url) as books:
        moves = await after_the_restore(books)

        await assert_all_is_well(books, account)
        returned = await books.sql(
            "SELECT id, returned_micros FROM jobs WHERE returned_micros > 0 ORDER BY id"
        )
    assert [tuple(row.values()) for row in returned] == [("vid_gone_completed", 7), ("vid_gone_shorter", 5)]
    assert {Move.GIVE_UP, Move.RETURN, Move.RELEASE} < moves


async def test_what_cannot_be_charged_is_told_and_keeps_nothing_else(make_database: MakeDatabase) -> None:
    async with open_books(make_database("jobs"), make_database("billing")) as books:
        account = await books.billing.account(credits_live=1)
        for job_id in ("vid_1", "vid_2"):
            await books.accept(account, job_id)
        await books.walk({"vid_1": COMPLETED, "vid_2": COMPLETED})
        # As after a restore of billing to a moment before either was accepted, and before the account was paid up.
        await books.billing.rows(
            "SET session_replication_role = replica; DELETE FROM entries; DELETE FROM transactions"
        )
        await books.billing.rows("DELETE FROM holds")
        await books.billing.rows("UPDATE balances SET available_micros = 0, held_micros = 0, version = 0")
        await books.billing.grant(account, RESERVED, grant_id="half")

        mended = await books.reconcile()

        assert [(each.job_id, each.move) for each in mended] == [
            ("vid_1", Move.CHARGE),
            ("vid_2", Move.CHARGE),
        ]
        assert [each.refusal.partition(":")[0] for each in mended] == ["", "CREDITS_INSUFFICIENT"]
