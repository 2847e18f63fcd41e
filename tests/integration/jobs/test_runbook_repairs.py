"""Every repair of the runbook does what it says: afterwards the books agree, and no credits were made or lost."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from reelgate.admin.v1.audit_pb2 import AuditNote
from reelgate.admin.v1.hold_admin_service_pb2 import ReleaseHoldRequest
from reelgate.admin.v1.hold_admin_service_pb2_grpc import HoldAdminServiceStub

from services.common.errors import Reason, ServiceError
from services.common.rpc.client import open_channel
from services.jobs.domain.states import State
from services.jobs.operations.settle_job import Outcome, settle_job
from tests.conftest import MakeDatabase
from tests.integration.billing.books import broken_rules
from tests.integration.jobs.books import NOTE, RESERVED, Books, Plan, open_books
from tests.integration.module_database import execute_unguarded

RUNBOOK = Path(__file__).parents[3] / "docs" / "runbooks" / "ledger-finding.md"
CREDITS = 1_000_000
JOB_ID = "vid_1"
OPERATOR = AuditNote(actor="ops@example", reason="found by the verifier")


@pytest.fixture
async def books(make_database: MakeDatabase) -> AsyncIterator[Books]:
    async with open_books(make_database("jobs"), make_database("billing")) as opened:
        yield opened


async def release(books: Books, hold_id: str) -> int:
    async with open_channel(books.billing.running.admin_address) as channel:
        request = ReleaseHoldRequest(hold_id=hold_id, audit=OPERATOR)
        return int((await HoldAdminServiceStub(channel).ReleaseHold(request)).given_back_micros)


async def release_an_orphan(books: Books, account: str) -> None:
    """A hold that was confirmed, and whose job is gone."""
    await books.billing.hold("vid_gone", account, RESERVED)
    await books.billing.confirm("vid_gone")
    assert [found.rule for found in (await books.verify())[0]] == ["hold_without_job"]

    assert await release(books, "vid_gone") == RESERVED


async def settle_a_job_without_work(books: Books, account: str) -> None:
    await books.accept(account, JOB_ID)
    await books.sql("DELETE FROM work")
    assert [found.rule for found in (await books.verify())[0]] == ["job_work"]

    async def work(_: float) -> None:
        await books.walk({JOB_ID: Plan()})

    await settle_job(JOB_ID, outcome=Outcome.FAILED, note=NOTE, mender=books.mender(), pause=work)


async def reconcile_all(books: Books, account: str) -> None:
    """A hold that expired under a running job."""
    for job_id in (JOB_ID, "vid_2"):
        await books.accept(account, job_id)
    await books.walk({JOB_ID: Plan(), "vid_2": Plan(until=State.PROCESSING)})
    await books.billing.rows("UPDATE holds SET expires_at = clock_timestamp() WHERE hold_id = 'vid_2'")
    await books.billing.sweep()
    assert [found.rule for found in (await books.verify())[0]] == ["job_hold_state"]

    await books.reconcile()


async def set_to_what_was_expected(books: Books, account: str) -> None:
    await books.accept(account, JOB_ID)
    await books.walk({JOB_ID: Plan()})
    execute_unguarded(books.url, "UPDATE usage_daily SET completed_jobs = completed_jobs + 1")
    [found] = (await books.verify())[0]
    assert found.rule == "usage_day"

    expected = found.detail.split()[1]
    await books.sql(f"UPDATE usage_daily SET completed_jobs = {expected}")


async def restore_a_backup(books: Books, account: str) -> None:
    """What a restore of billing to the moment before the job leaves; the drill has the rest."""
    await books.accept(account, JOB_ID)
    await books.walk({JOB_ID: Plan()})
    execute_unguarded(
        books.billing.database_url,
        "DELETE FROM entries USING transactions AS t WHERE t.transaction_id = entries.transaction_id"
        " AND t.kind <> 'grant'; DELETE FROM transactions WHERE kind <> 'grant'; DELETE FROM holds;"
        f" UPDATE balances SET available_micros = {CREDITS}, held_micros = 0, version = 1 WHERE version > 0;"
        " UPDATE spending SET day_micros = 0, month_micros = 0",
    )
    assert [found.rule for found in (await books.verify())[0]] == ["job_without_hold"]

    await books.reconcile()


async def count_places_anew(books: Books, account: str) -> None:
    await books.accept(account, JOB_ID)
    execute_unguarded(books.url, "DELETE FROM place_changes")
    assert [found.rule for found in (await books.verify())[0]] == ["places"]

    await books.sql("SELECT * FROM mend_places()")


REPAIRS: dict[str, Callable[[Books, str], Awaitable[None]]] = {
    "reelgate ledger release HOLD": release_an_orphan,
    "reelgate job settle JOB --as failed": settle_a_job_without_work,
    "reelgate ledger reconcile": reconcile_all,
    "set to what was expected": set_to_what_was_expected,
    "restore a backup": restore_a_backup,
    "SELECT * FROM mend_places()": count_places_anew,
}
"""Each plants what is to be repaired, sees it found, and repairs it."""


def test_no_repair_of_the_runbook_goes_untried() -> None:
    rows = re.findall(r"^\| `\w+`.*\| `([^`]*)` \|$", RUNBOOK.read_text(), re.MULTILINE)

    assert len(rows) == len(re.findall(r"^\| `", RUNBOOK.read_text(), re.MULTILINE))
    assert set(rows) == REPAIRS.keys()


@pytest.mark.parametrize("repair", REPAIRS)
async def test_after_each_repair_the_books_agree_and_no_credits_were_made_or_lost(
    books: Books, repair: str
) -> None:
    account = await books.billing.account(credits_live=1)

    await REPAIRS[repair](books, account)

    await books.let_go()
    left = {row["job_id"] for row in await books.sql("SELECT job_id FROM work")}
    await books.walk(dict.fromkeys(left, Plan()))
    [paid] = await books.sql(
        "SELECT coalesce(sum(charged_micros - returned_micros), 0)::bigint AS micros FROM jobs"
    )
    assert await books.billing.balance(account) == (CREDITS - paid["micros"], 0)
    assert (await books.verify())[0] == []
    assert broken_rules(books.billing.database_url) == {}


@pytest.mark.parametrize("ends", ["open", "captured", "refunded in part", "overdue", "released"])
async def test_a_hold_gives_back_what_it_keeps_once_and_it_is_on_record(books: Books, ends: str) -> None:
    account = await books.billing.account(credits_live=1)
    await books.billing.hold(JOB_ID, account, RESERVED)
    kept = RESERVED
    if ends in {"captured", "refunded in part"}:
        await books.billing.capture(JOB_ID, kept := RESERVED - 10)
    if ends == "refunded in part":
        await books.billing.refund("refund_1", JOB_ID, 7)
        kept -= 7
    if ends == "overdue":
        await books.billing.let_time_run_out(JOB_ID)
    if ends == "released":
        await books.billing.release(JOB_ID)
        kept = 0

    given_back = [await release(books, JOB_ID) for _ in range(2)]

    assert given_back == [kept, 0]
    assert await books.billing.balance(account) == (CREDITS, 0)
    assert broken_rules(books.billing.database_url) == {}
    entries = await books.billing.rows("SELECT actor, reason FROM audit WHERE action = 'hold.release'")
    assert entries == ([{"actor": OPERATOR.actor, "reason": OPERATOR.reason}] if kept else [])


async def test_a_hold_that_does_not_exist_cannot_be_given_back(books: Books) -> None:
    with pytest.raises(ServiceError) as refused:
        await release(books, "vid_unknown")

    assert refused.value.reason is Reason.HOLD_NOT_FOUND
