"""Whatever does not agree between jobs, usage and the ledger is found and named, and nothing else is."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from reelgate.admin.v1.verifier_service_pb2 import VerifyRequest
from reelgate.admin.v1.verifier_service_pb2_grpc import (
    VerifierServiceStub,
)

from services.common.errors import Reason, ServiceError
from services.common.ids import new_id
from services.common.rpc.client import open_channel
from services.common.rpc.server import serve
from services.common.verification.checks import Finding
from services.jobs.domain.states import State
from services.jobs.wiring.internal import admin_port
from tests.conftest import MakeDatabase
from tests.integration.billing.test_verifier import CORRUPTIONS as OF_LEDGER
from tests.integration.jobs.books import Books, Plan, open_books
from tests.integration.jobs.conftest import jobs_settings
from tests.integration.module_database import execute_unguarded, module_database
from tests.unit.jobs.samples import CATALOGUE

RUNBOOK = Path(__file__).parents[3] / "docs" / "runbooks" / "ledger-finding.md"
JOBS_OF_EACH_KIND = 8

COMPLETED, FAILED, SHORTER = Plan(), Plan(is_to_fail=True), Plan(delivered_seconds=3)
PROCESSING, PENDING = Plan(until=State.PROCESSING), Plan(until=State.PENDING)

JOB, HOLD = "jobs {job_id}", "holds {job_id}"
PLACES = "places {account_id} live"
HOUR, DAY = "usage_hourly {account_id} live {hour} mini", "usage_daily {account_id} live {day} mini"
MARGIN = "margins_daily {account_id} {day} mini"

IN_JOBS: dict[str, tuple[Plan, str, str, str]] = {
    "less was charged than captured": (
        COMPLETED,
        "UPDATE jobs SET charged_micros = charged_micros - 1, refunded_micros = 1 WHERE id = '{job_id}'",
        "job_charged",
        JOB,
    ),
    "charged and refunded are not what was reserved": (
        COMPLETED,
        "UPDATE jobs SET refunded_micros = 1 WHERE id = '{job_id}'",
        "job_settled",
        JOB,
    ),
    "a job is charged before its end": (
        PROCESSING,
        "UPDATE jobs SET charged_micros = 50 WHERE id = '{job_id}'",
        "job_settled",
        JOB,
    ),
    "a job forgot a refund": (
        SHORTER,
        "UPDATE jobs SET returned_micros = 7 WHERE id = '{job_id}'",
        "job_returned",
        JOB,
    ),
    "nobody works on a job": (PROCESSING, "DELETE FROM work WHERE job_id = '{job_id}'", "job_work", JOB),
    "somebody works on a job that has ended": (
        FAILED,
        "INSERT INTO work (job_id, state, due_at) VALUES ('{job_id}', 'failing', 'infinity')",
        "job_work",
        JOB,
    ),
    "a job is gone": (COMPLETED, "DELETE FROM jobs WHERE id = '{job_id}'", "hold_without_job", HOLD),
    "an hour's usage is off by one": (
        COMPLETED,
        "UPDATE usage_hourly SET charged_micros = charged_micros + 1 WHERE account_id = '{account_id}'",
        "usage_hour",
        HOUR,
    ),
    "an hour's usage is gone": (
        COMPLETED,
        "DELETE FROM usage_hourly WHERE account_id = '{account_id}'",
        "job_counted",
        JOB,
    ),
    "a day's usage is off by one": (
        FAILED,
        "UPDATE usage_daily SET failed_jobs = failed_jobs + 1 WHERE account_id = '{account_id}'",
        "usage_day",
        DAY,
    ),
    "a day's usage is gone": (
        COMPLETED,
        "DELETE FROM usage_daily WHERE account_id = '{account_id}'",
        "usage_day_missing",
        HOUR,
    ),
    "the places of an account are off by one": (
        PENDING,
        "UPDATE place_changes SET placed = placed + 1 WHERE account_id = '{account_id}'",
        "places",
        PLACES,
    ),
    "the places of an account are gone": (
        PROCESSING,
        "DELETE FROM place_changes WHERE account_id = '{account_id}'",
        "places",
        PLACES,
    ),
    "a job that waits is not counted": (
        PENDING,
        "UPDATE work SET admitted_at = NULL, due_at = 'infinity' WHERE account_id = '{account_id}'",
        "places",
        PLACES,
    ),
}
IN_JOBS |= {
    "what a job brought in was never noted": (
        COMPLETED,
        "DELETE FROM margin_changes WHERE job_id = '{job_id}'",
        "margin_day",
        MARGIN,
    ),
    "what a day brought in is off by one": (
        SHORTER,
        "INSERT INTO margins_daily VALUES ('{day}', '{account_id}', 'seedancee2', 'mini', 'ark', 0, 0, 1, 0, 0)",
        "margin_day",
        MARGIN,
    ),
    "what an attempt cost was changed": (
        COMPLETED,
        "UPDATE attempts SET cost_micros = coalesce(cost_micros, 0) + 1 WHERE job_id = '{job_id}'",
        "margin_day",
        MARGIN,
    ),
}
IN_BILLING: dict[str, tuple[Plan, str, str, str]] = {
    "a hold is gone": (COMPLETED, "DELETE FROM holds WHERE hold_id = '{job_id}'", "job_without_hold", JOB),
    "a hold is of another environment": (
        COMPLETED,
        "UPDATE holds SET environment = 'test' WHERE hold_id = '{job_id}'",
        "job_hold_owner",
        JOB,
    ),
    "a hold is of another amount": (
        PENDING,
        "UPDATE holds SET amount_micros = amount_micros + 1 WHERE hold_id = '{job_id}'",
        "job_hold_amount",
        JOB,
    ),
    "a completed job's credits went back": (
        COMPLETED,
        "UPDATE holds SET state = 'released' WHERE hold_id = '{job_id}'",
        "job_hold_state",
        JOB,
    ),
    "a failed job's credits were kept": (
        FAILED,
        "UPDATE holds SET state = 'captured', captured_micros = amount_micros WHERE hold_id = '{job_id}'",
        "job_charged",
        JOB,
    ),
    "a hold expired under a running job": (
        PROCESSING,
        "UPDATE holds SET state = 'expired', resolved_at = now() WHERE hold_id = '{job_id}'",
        "job_hold_state",
        JOB,
    ),
    "the ledger forgot a refund": (
        SHORTER,
        "UPDATE holds SET refunded_micros = 7 WHERE hold_id = '{job_id}'",
        "job_hold_refunded",
        JOB,
    ),
}
CORRUPTIONS = {**IN_JOBS, **IN_BILLING}
"""What happens to whose job, what is changed then, the rule that is broken by it, and the row to be named."""


@dataclass(frozen=True)
class Planted:
    """What was found in books with every corruption, each in a job of an account of its own."""

    expected: dict[str, tuple[str, str]]
    """Rule and row, by corruption."""
    before: tuple[list[Finding], int]
    findings: list[Finding]
    in_small_pages: list[Finding]


@pytest.fixture(scope="module")
def planted(postgres_port: int, migrated_templates: Callable[[str], str]) -> Iterator[Planted]:
    with (
        module_database(postgres_port, migrated_templates("jobs")) as jobs_url,
        module_database(postgres_port, migrated_templates("billing")) as billing_url,
    ):
        yield asyncio.run(plant(jobs_url, billing_url))


async def plant(jobs_url: str, billing_url: str) -> Planted:
    async with open_books(jobs_url, billing_url) as books:
        ids = await live(books)
        before = await books.verify()
        execute_unguarded(jobs_url, "ALTER TABLE jobs DROP CONSTRAINT jobs_settled")
        expected = {}
        for name, (_, change, rule, row) in CORRUPTIONS.items():
            known = {**ids[name], **usage_period(jobs_url, ids[name]["account_id"])}
            execute_unguarded(jobs_url if name in IN_JOBS else billing_url, change.format(**known))
            expected[name] = (rule, row.format(**known))
        findings, _ = await books.verify()
        in_small_pages, _ = await books.verify(rows_max=2)
    return Planted(expected, before, findings, in_small_pages)


async def live(books: Books) -> dict[str, dict[str, str]]:
    """Gives each corruption an account, and the job it is for. Of what was delivered shorter, some is given back."""
    ids = {
        name: {"job_id": new_id("vid"), "account_id": await books.billing.account(credits_live=1)}
        for name in CORRUPTIONS
    }
    await asyncio.gather(*(books.accept(**each) for each in ids.values()))
    plans = {ids[name]["job_id"]: plan for name, (plan, *_) in CORRUPTIONS.items()}
    await books.walk(plans)
    for job_id, plan in plans.items():
        if plan is SHORTER:
            await books.give_back(job_id, 7)
            await books.give_back(job_id, 2)
    return ids


def usage_period(url: str, account_id: str) -> dict[str, str]:
    query = "SELECT CAST(hour AS text), CAST(hour AT TIME ZONE 'UTC' AS date) FROM usage_hourly WHERE account_id = %s"
    with psycopg.connect(url, options="-c timezone=UTC") as connection:
        found = connection.execute(query, (account_id,)).fetchone()
    return {} if found is None else {"hour": found[0], "day": str(found[1])}


def test_healthy_books_have_no_findings(planted: Planted) -> None:
    findings, checked_count = planted.before

    ended_count = sum(plan.until is None for plan, *_ in CORRUPTIONS.values())
    assert findings == []
    assert (
        checked_count == 3 * len(CORRUPTIONS) + 3 * ended_count
    )  # jobs, holds, caps; hours, days and margins


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_it_is_found_and_named_that(planted: Planted, corruption: str) -> None:
    assert planted.expected[corruption] in {(found.rule, found.row) for found in planted.findings}


def test_pages_of_any_size_find_the_same(planted: Planted) -> None:
    assert sorted(map(str, planted.in_small_pages)) == sorted(map(str, planted.findings))


def test_a_finding_tells_what_was_expected_and_what_is_there(planted: Planted) -> None:
    wrong = planted.expected["a hold expired under a running job"]

    [found] = [each for each in planted.findings if (each.rule, each.row) == wrong]

    assert found.detail == "expected confirmed, found expired"


@pytest.fixture
async def books(make_database: MakeDatabase) -> AsyncIterator[Books]:
    async with open_books(make_database("jobs"), make_database("billing")) as opened:
        yield opened


async def test_traffic_raises_no_false_alarm(books: Books) -> None:
    traffic = asyncio.create_task(keep_busy(books, await books.billing.account(credits_live=1)))

    rounds = []
    while not traffic.done():
        rounds.append((await books.verify(rows_max=20))[0])

    await traffic
    rounds.append((await books.verify())[0])
    assert rounds == [[]] * len(rounds)
    with psycopg.connect(books.url) as connection:
        happened = connection.execute("SELECT DISTINCT status, returned_micros > 0 FROM jobs").fetchall()
    assert set(happened) == {("completed", False), ("completed", True), ("failed", False)}


async def keep_busy(books: Books, account_id: str) -> None:
    plans = {new_id("vid"): plan for plan in (COMPLETED, SHORTER, FAILED) * JOBS_OF_EACH_KIND}

    async def bring_in(job_id: str) -> None:
        await books.accept(account_id, job_id)
        await books.walk(plans)
        if plans[job_id] is SHORTER:
            with suppress(ServiceError):
                await books.give_back(job_id, 1)

    await asyncio.gather(*map(bring_in, plans))
    await books.walk(plans)
    await asyncio.gather(*(books.give_back(job_id, 1) for job_id, plan in plans.items() if plan is SHORTER))


async def test_operators_get_the_first_page_and_are_refused_a_strange_one(books: Books) -> None:
    port = admin_port(
        jobs_settings(),
        books.pool,
        ledger=books.ledger,
        holds=books.holds,
        catalogue=lambda: CATALOGUE,
        notify=lambda: None,
        worths=lambda: {"seedancee2": 10_000, "nextapi": 1_000_000},
        tls=None,
    )
    await books.accept(await books.billing.account(credits_live=1), new_id("vid"))

    async with serve(port) as [address], open_channel(address) as channel:
        first = await VerifierServiceStub(channel).Verify(VerifyRequest())
        with pytest.raises(ServiceError) as refusal:
            await VerifierServiceStub(channel).Verify(
                VerifyRequest(page_token="usage_daily/a/live/today/mini")
            )

    assert (first.checked_count, first.next_page_token) == (1, "holds/")
    assert refusal.value.reason is Reason.INVALID_FIELD


def test_every_rule_is_in_the_runbook_and_was_planted() -> None:
    rows = re.findall(r"^\| (`.*?`) \|", RUNBOOK.read_text(), re.MULTILINE)
    explained = [rule for row in rows for rule in re.findall(r"`(\w+)`", row)]

    planted_rules = {rule for _, _, rule, _ in CORRUPTIONS.values()} | {
        rule for _, rule, _ in OF_LEDGER.values()
    }
    assert sorted(explained) == sorted(planted_rules)
