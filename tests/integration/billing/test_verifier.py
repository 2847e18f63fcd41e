"""Whatever is wrong in the ledger is found and named, and nothing else is."""

import asyncio
import logging
import random  # noqa: TID251 - seeded: every run has the same history
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import psycopg
import pytest
from reelgate.admin.v1.verifier_service_pb2 import VerifyRequest, VerifyResponse
from reelgate.admin.v1.verifier_service_pb2_grpc import VerifierServiceStub

from services.billing.domain import (
    Adjustment,
    AdjustmentKind,
    HoldChange,
    HoldState,
    NewAccount,
    NewHold,
    NewKey,
    Refund,
)
from services.billing.operations.verify_ledger import verify_ledger
from services.billing.store.accounts import SqlAccounts
from services.billing.store.holds import SqlHolds
from services.billing.store.keys import SqlKeys
from services.billing.store.verification import SqlLedgerPages
from services.common.audit.note import AuditNote
from services.common.errors import Reason, ServiceError
from services.common.ids import new_id
from services.common.postgres.database import Pool, open_pool
from services.common.rpc.client import open_channel
from services.common.verification.checks import Finding
from tests.conftest import MakeDatabase
from tests.integration.billing.running import running_billing
from tests.integration.module_database import module_database
from tests.patience import PATIENCE_SECONDS

NOTE = AuditNote(actor="tests", reason="a history")
ACCOUNTS = ("acct_1", "acct_2")
CREDITS = 1_000
CALLERS, HOLDS_OF_EACH = 6, 10


@dataclass(frozen=True)
class Ledger:
    """A ledger in a database of its own, used through its stores."""

    url: str
    pool: Pool
    holds: SqlHolds
    accounts: SqlAccounts
    pages: SqlLedgerPages

    async def live(self, mark: str) -> None:
        """Everything there is happens to two accounts, among it what the corruptions below look for."""
        jobs = [f"job_{number}{mark}" for number in range(6)]
        for account_id in (f"acct_1{mark}", f"acct_2{mark}"):
            await self.open(account_id)
        for job_id in jobs[:5]:
            await self.hold(job_id, f"acct_1{mark}", 10)
        await self.hold(jobs[5], f"acct_2{mark}", 10)
        await self.change(jobs[0], HoldState.CONFIRMED)
        await self.change(jobs[1], HoldState.CAPTURED, 10)
        await self.change(jobs[2], HoldState.CAPTURED, 4)
        await self.change(jobs[3], HoldState.RELEASED)
        await self.let_time_run_out(jobs[4])
        await self.holds.expire(holds_max=100)
        await self.refund(f"refund_1{mark}", jobs[2], 1)
        await self.refund(f"refund_2{mark}", jobs[2], 2)

    async def open(self, account_id: str) -> None:
        await self.accounts.add(NewAccount(account_id=account_id, name="Acme", contract="nextapi"), note=NOTE)
        key = NewKey(
            key_id=f"key_of_{account_id}",
            account_id=account_id,
            environment="live",
            sha256=account_id.encode().ljust(32),
            hint="…",
        )
        await SqlKeys(self.pool).add(key, note=NOTE)
        await self.adjust(AdjustmentKind.GRANT, account_id, CREDITS)
        await self.adjust(AdjustmentKind.CORRECTION, account_id, -7)

    async def adjust(self, kind: AdjustmentKind, account_id: str, amount: int) -> None:
        adjustment = Adjustment(
            kind=kind,
            adjustment_id=f"{kind}_{account_id}",
            account_id=account_id,
            environment="live",
            amount_micros=amount,
            note=NOTE,
        )
        await self.accounts.adjust(adjustment)

    async def hold(self, hold_id: str, account_id: str, amount: int) -> None:
        new = NewHold(
            hold_id=hold_id,
            account_id=account_id,
            environment="live",
            amount_micros=amount,
            key_id=f"key_of_{account_id}",
        )
        await self.holds.create(new)

    async def change(self, hold_id: str, state: HoldState, captured: int = 0) -> None:
        change = HoldChange(hold_id=hold_id, state=state, captured_micros=captured, lasts_seconds=3600)
        await self.holds.change(change)

    async def refund(self, refund_id: str, hold_id: str, amount: int) -> None:
        refund = Refund(refund_id=refund_id, hold_id=hold_id, amount_micros=amount, reason="goodwill")
        await self.holds.refund(refund)

    async def let_time_run_out(self, hold_id: str) -> None:
        async with self.pool.connection() as connection:
            await connection.execute(
                "UPDATE holds SET expires_at = clock_timestamp() WHERE hold_id = %s", (hold_id,)
            )

    async def verify(self, *, rows_max: int = 1_000) -> tuple[list[Finding], int]:
        """Goes through all pages. Returns what was found and how many rows were checked."""
        findings: list[Finding] = []
        checked_count, cursor = 0, None
        while True:
            verified = await verify_ledger(cursor, pages=self.pages, rows_max=rows_max)
            findings += verified.findings
            checked_count += verified.checked_count
            cursor = verified.next_page_token
            if cursor is None:
                return findings, checked_count


ROWS_OF_ONE = 16 + 6 + 4 + 6
"""Transactions, holds, balances and spending that `live` leaves."""


def transaction(kind: str, reference: str) -> str:
    return f"(SELECT transaction_id FROM transactions WHERE kind = '{kind}' AND reference = '{reference}@')"


def entry(kind: str, reference: str, bucket: str) -> str:
    return f"transaction_id = {transaction(kind, reference)} AND bucket = '{bucket}'"


ENTRY = "'entries ' || transaction_id || ' ' || bucket"
TRANSACTION = "'transactions ' || transaction_id"
NEXT_TRANSACTION = """(SELECT 'transactions ' || next.transaction_id FROM transactions AS next
    WHERE next.account_id = transactions.account_id AND next.version = transactions.version + 1)"""
BALANCE = "concat_ws(' ', 'balances', account_id, environment)"
SPENDING = "concat_ws(' ', 'spending', subject_id, environment)"
HOLD = "'holds ' || hold_id"

RESOLVED_AGAIN = """
    WITH moved AS (
        UPDATE balances SET version = version + 1, available_micros = available_micros + 10,
            held_micros = held_micros - 10
        WHERE (account_id, environment) = ('acct_1@', 'live') RETURNING *
    ), added AS (
        INSERT INTO transactions (account_id, environment, version, kind, reference)
        SELECT account_id, environment, version, 'release', 'job_1@' FROM moved RETURNING *
    )
    INSERT INTO entries SELECT transaction_id, bucket, amount, balance
    FROM added JOIN moved USING (version) CROSS JOIN LATERAL (
        VALUES ('available', 10, available_micros), ('held', -10, held_micros)
    ) AS part (bucket, amount, balance)"""

CORRUPTIONS = {
    "an amount is off by one": (
        f"UPDATE entries SET amount_micros = amount_micros + 1 WHERE {entry('capture', 'job_2', 'available')}",
        "transaction_not_zero",
        TRANSACTION,
    ),
    "the entries of a transaction are gone": (
        f"DELETE FROM entries WHERE transaction_id = {transaction('release', 'job_3')}",
        "transaction_not_zero",
        TRANSACTION,
    ),
    "a transaction is gone": (
        f"DELETE FROM transactions WHERE transaction_id = {transaction('capture', 'job_1')}",
        "version_gap",
        NEXT_TRANSACTION,
    ),
    "a running balance is off by one": (
        f"UPDATE entries SET balance_micros = balance_micros + 1 WHERE {entry('hold', 'job_1', 'held')}",
        "running_balance",
        ENTRY,
    ),
    "the first running balance is off by one": (
        f"UPDATE entries SET balance_micros = 0 WHERE {entry('grant', 'grant_acct_1', 'available')}",
        "running_balance",
        ENTRY,
    ),
    "a running balance is below 0": (
        f"UPDATE entries SET balance_micros = -1 WHERE {entry('hold', 'job_5', 'held')}",
        "balance_negative",
        ENTRY,
    ),
    "revenue is said to be issued": (
        f"UPDATE entries SET bucket = 'issued' WHERE {entry('capture', 'job_2', 'revenue')}",
        "bucket_misused",
        ENTRY,
    ),
    "the hold of a transaction is gone": (
        "DELETE FROM holds WHERE hold_id = 'job_3@'",
        "transaction_without_hold",
        f"(SELECT {TRANSACTION} FROM transactions WHERE kind = 'release' AND reference = hold_id)",
    ),
    "a hold belongs to another account": (
        "UPDATE holds SET account_id = 'acct_2@' WHERE hold_id = 'job_1@'",
        "transaction_without_hold",
        f"(SELECT {TRANSACTION} FROM transactions WHERE kind = 'capture' AND reference = hold_id)",
    ),
    "a refund refers to a grant": (
        f"UPDATE transactions SET refers_to = {transaction('grant', 'grant_acct_1')} WHERE reference = 'refund_1@'",
        "refund_without_capture",
        TRANSACTION,
    ),
    "a hold was never taken": (
        "INSERT INTO holds (hold_id, account_id, environment, amount_micros) VALUES ('job_x@', 'acct_1@', 'live', 5)",
        "hold_not_taken_once",
        HOLD,
    ),
    "a hold is of another amount": (
        "UPDATE holds SET amount_micros = amount_micros + 1 WHERE hold_id = 'job_1@'",
        "hold_not_taken_once",
        HOLD,
    ),
    "a hold is released, and its credits are not": (
        "UPDATE holds SET state = 'released', resolved_at = now() WHERE hold_id = 'job_0@'",
        "hold_not_resolved_once",
        HOLD,
    ),
    "a hold is open again": (
        "UPDATE holds SET state = 'confirmed', resolved_at = NULL WHERE hold_id = 'job_3@'",
        "hold_not_resolved_once",
        HOLD,
    ),
    "more was captured than the hold says": (
        "UPDATE holds SET captured_micros = 3 WHERE hold_id = 'job_2@'",
        "hold_not_resolved_once",
        HOLD,
    ),
    "a hold is captured and released": (RESOLVED_AGAIN, "hold_not_resolved_once", "'holds job_1@'"),
    "a hold is open and resolved": (
        "UPDATE holds SET resolved_at = now() WHERE hold_id = 'job_0@'",
        "hold_resolved_at",
        HOLD,
    ),
    "a refund is forgotten": (
        "UPDATE holds SET refunded_micros = 1 WHERE hold_id = 'job_2@'",
        "hold_refunded",
        HOLD,
    ),
    "a cached balance is off by one": (
        "UPDATE balances SET available_micros = available_micros + 1 WHERE account_id = 'acct_1@' AND version > 0",
        "balance_available",
        BALANCE,
    ),
    "a balance without history is not 0": (
        "UPDATE balances SET available_micros = 1 WHERE account_id = 'acct_2@' AND version = 0",
        "balance_available",
        BALANCE,
    ),
    "what is held is off by one": (
        "UPDATE balances SET held_micros = held_micros - 1 WHERE account_id = 'acct_1@' AND version > 0",
        "balance_held",
        BALANCE,
    ),
    "what is held is not what the open holds hold": (
        "UPDATE holds SET amount_micros = amount_micros + 1 WHERE hold_id = 'job_5@'",
        "balance_open_holds",
        BALANCE,
    ),
    "the last transactions of a balance are gone": (
        "DELETE FROM transactions WHERE reference IN ('refund_1@', 'refund_2@')",
        "balance_version",
        BALANCE,
    ),
    "a key's spending of the day is off by one": (
        "UPDATE spending SET day_micros = day_micros + 1 WHERE subject_id = 'key_of_acct_1@'",
        "spending_day",
        SPENDING,
    ),
    "an account's spending of the month is off by one": (
        "UPDATE spending SET month_micros = month_micros - 1 WHERE subject_id = 'acct_1@' AND month_micros > 0",
        "spending_month",
        SPENDING,
    ),
}
"""What is changed, the rule that is broken by it, and the row to be named. `@` marks whose rows they are."""


@dataclass(frozen=True)
class Planted:
    """What was found in a ledger with every corruption, each in accounts of its own."""

    expected: dict[str, tuple[str, str]]
    """Rule and row, by corruption."""
    before: tuple[list[Finding], int]
    findings: list[Finding]
    in_small_pages: list[Finding]


@pytest.fixture(scope="module")
def planted(postgres_port: int, migrated_templates: Callable[[str], str]) -> Iterator[Planted]:
    with module_database(postgres_port, migrated_templates("billing")) as url:
        yield asyncio.run(plant(url))


async def plant(url: str) -> Planted:
    async with open_ledger(url) as ledger:
        await asyncio.gather(*(ledger.live(f"_of_{number}") for number, _ in enumerate(CORRUPTIONS)))
        before = await ledger.verify()
        expected = {name: corrupt(url, name, f"_of_{number}") for number, name in enumerate(CORRUPTIONS)}
        findings, _ = await ledger.verify()
        in_small_pages, _ = await ledger.verify(rows_max=3)
    return Planted(expected, before, findings, in_small_pages)


def corrupt(url: str, corruption: str, mark: str) -> tuple[str, str]:
    """Changes what the database allows nobody to change. Returns the rule that is broken and the row to be named."""
    change, rule, row = CORRUPTIONS[corruption]
    with psycopg.connect(url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("ALTER TABLE entries DROP CONSTRAINT IF EXISTS entries_balance_micros_check")
        connection.execute("ALTER TABLE holds DROP CONSTRAINT IF EXISTS holds_resolved_at_check")
        named = connection.execute(f"{change} RETURNING {row}".replace("@", mark).encode()).fetchone()
    assert named is not None
    return rule, str(named[0])


def test_a_healthy_ledger_has_no_findings(planted: Planted) -> None:
    assert planted.before == ([], len(CORRUPTIONS) * ROWS_OF_ONE)


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_it_is_found_and_named_that(planted: Planted, corruption: str) -> None:
    assert planted.expected[corruption] in {(found.rule, found.row) for found in planted.findings}


def test_pages_of_any_size_find_the_same(planted: Planted) -> None:
    assert sorted(map(str, planted.in_small_pages)) == sorted(map(str, planted.findings))


def test_a_finding_tells_what_was_expected_and_what_is_there(planted: Planted) -> None:
    wrong = planted.expected["more was captured than the hold says"]

    [found] = [each for each in planted.findings if (each.rule, each.row) == wrong]

    assert found.detail == (
        "expected capture available 7 held -10 revenue 3, found capture available 6 held -10 revenue 4"
    )


@asynccontextmanager
async def open_ledger(url: str) -> AsyncIterator[Ledger]:
    async with open_pool(url, name="test", connections_max=8) as pool:
        yield Ledger(url, pool, SqlHolds(pool), SqlAccounts(pool), SqlLedgerPages(pool))


@pytest.fixture
async def ledger(make_database: MakeDatabase) -> AsyncIterator[Ledger]:
    async with open_ledger(make_database("billing")) as opened:
        yield opened


async def test_traffic_raises_no_false_alarm(ledger: Ledger) -> None:
    for account_id in ACCOUNTS:
        await ledger.open(account_id)
    traffic = asyncio.gather(*(keep_busy(ledger, random.Random(seed)) for seed in range(CALLERS)))

    rounds = []
    while not traffic.done():
        rounds.append((await ledger.verify(rows_max=20))[0])

    await traffic
    rounds.append((await ledger.verify())[0])
    assert rounds == [[]] * len(rounds)
    with psycopg.connect(ledger.url) as connection:
        happened = connection.execute("SELECT DISTINCT kind FROM transactions").fetchall()
    assert {"hold", "capture", "release", "expire", "refund"} <= {kind for (kind,) in happened}


async def keep_busy(ledger: Ledger, chance: random.Random) -> None:
    name = new_id("job")
    for number in range(HOLDS_OF_EACH):
        hold_id = f"{name}_{number}"
        await ledger.hold(hold_id, chance.choice(ACCOUNTS), chance.randint(10, 20))
        end = list(HoldState)[number % len(HoldState)]
        if end is HoldState.CAPTURED:
            await ledger.change(hold_id, end, chance.randint(1, 10))
            await ledger.refund(f"refund_of_{hold_id}", hold_id, 1)
        elif end is HoldState.EXPIRED:
            await ledger.let_time_run_out(hold_id)
            await ledger.holds.expire(holds_max=3)
        elif end is not HoldState.PROVISIONAL:
            await ledger.change(hold_id, end)


async def test_operators_go_from_page_to_page_and_are_refused_elsewhere(ledger: Ledger) -> None:
    await ledger.live("")
    wrong = corrupt(ledger.url, "a cached balance is off by one", "")
    answers: list[VerifyResponse] = []

    async with (
        running_billing(ledger.url) as billing,
        open_channel(billing.running.admin_address) as channel,
    ):
        verifier, cursor = VerifierServiceStub(channel), ""
        while not answers or cursor:
            answers.append(await verifier.Verify(VerifyRequest(page_token=cursor)))
            cursor = answers[-1].next_page_token
        with pytest.raises(ServiceError) as refusal:
            await verifier.Verify(VerifyRequest(page_token="holds/%00"))

    [found] = [found for answer in answers for found in answer.findings]
    assert (found.rule, found.row) == wrong
    assert sum(answer.checked_count for answer in answers) == ROWS_OF_ONE
    assert refusal.value.reason is Reason.INVALID_FIELD


async def test_a_running_process_logs_by_itself_what_it_finds(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    await ledger.live("")
    rule, row = corrupt(ledger.url, "a cached balance is off by one", "")

    async with running_billing(ledger.url), asyncio.timeout(PATIENCE_SECONDS):
        while "ledger finding" not in caplog.text:  # noqa: ASYNC110 - a log has no event to wait for
            await asyncio.sleep(0.05)

    assert f'ledger finding rule={rule} row="{row}" expected ' in caplog.text
