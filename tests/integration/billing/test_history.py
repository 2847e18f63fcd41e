"""The history adds up, whatever happened, and nobody can rewrite it."""

import asyncio

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.billing.domain import Account, Grant, HoldChange, HoldState, NewHold
from services.billing.store.accounts import SqlAccounts
from services.billing.store.holds import SqlHolds
from services.common.database import Pool, open_pool
from services.common.ids import new_id
from tests.conftest import MakeDatabase
from tests.integration.billing.running import CREDIT, Billing

ENVIRONMENT = "live"
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["grant", "hold", "confirmed", "captured", "released", "run out", "sweep"]),
        st.integers(0, 5),
        st.integers(1, 40),
    ),
    min_size=20,
    max_size=60,
)

DOES_NOT_ADD_UP = {
    "a transaction is not zero in sum": (
        "SELECT transaction_id FROM entries GROUP BY transaction_id HAVING sum(amount_micros) <> 0"
    ),
    "a running balance is not the sum of what came before": """
        SELECT * FROM (
            SELECT balance_micros, sum(amount_micros) OVER (
                PARTITION BY account_id, environment, bucket ORDER BY version) AS counted
            FROM entries JOIN transactions USING (transaction_id) WHERE bucket IN ('available', 'held')
        ) AS running WHERE balance_micros <> counted""",
    "a cached balance is not the sum of its entries": """
        SELECT * FROM balances LEFT JOIN (
            SELECT account_id, environment,
                coalesce(sum(amount_micros) FILTER (WHERE bucket = 'available'), 0) AS available,
                coalesce(sum(amount_micros) FILTER (WHERE bucket = 'held'), 0) AS held
            FROM entries JOIN transactions USING (transaction_id) GROUP BY account_id, environment
        ) AS counted USING (account_id, environment)
        WHERE (available_micros, held_micros) <> (coalesce(available, 0), coalesce(held, 0))""",
    "versions have a gap": """
        SELECT account_id FROM balances LEFT JOIN transactions AS t USING (account_id, environment)
        GROUP BY account_id, environment, balances.version
        HAVING balances.version <> count(t.version) OR coalesce(max(t.version), 0) <> count(t.version)""",
    "what is held is not the sum of the open holds": """
        SELECT account_id FROM balances LEFT JOIN holds USING (account_id, environment)
        GROUP BY account_id, environment, held_micros
        HAVING held_micros <> coalesce(sum(amount_micros) FILTER (WHERE resolved_at IS NULL), 0)""",
    "a hold was not resolved once": """
        SELECT hold_id FROM holds LEFT JOIN transactions ON reference = hold_id
        GROUP BY hold_id, resolved_at
        HAVING count(*) FILTER (WHERE kind = 'hold') <> 1
            OR count(*) FILTER (WHERE kind IN ('capture', 'release', 'expire')) <> (resolved_at IS NOT NULL)::int""",
}


@pytest.fixture
def history_database(make_database: MakeDatabase) -> str:
    return make_database("billing")


@given(steps=STEPS)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_ledger_adds_up_after_any_history(
    history_database: str, steps: list[tuple[str, int, int]]
) -> None:
    asyncio.run(_play(history_database, steps, mark=new_id("run")))

    with psycopg.connect(history_database) as connection:
        for fault, query in DOES_NOT_ADD_UP.items():
            assert connection.execute(query.encode()).fetchall() == [], fault


async def _play(url: str, steps: list[tuple[str, int, int]], *, mark: str) -> None:
    async with open_pool(url, name="history", connections_max=2) as pool:
        holds, accounts = SqlHolds(pool), SqlAccounts(pool)
        for number in range(2):
            account = Account(account_id=f"{mark}_{number}", name="Acme", contract="nextapi")
            await accounts.add(account)
            await accounts.grant(_grant("first", f"{mark}_{number}", 50))
        for step, (act, number, amount) in enumerate(steps):
            hold_id, account_id = f"{mark}_job_{number}", f"{mark}_{number % 2}"
            if act == "grant":
                await accounts.grant(_grant(f"grant_{step}", account_id, amount))
            elif act == "hold":
                await holds.create(
                    NewHold(
                        hold_id=hold_id, account_id=account_id, environment=ENVIRONMENT, amount_micros=amount
                    )
                )
            elif act == "run out":
                await _let_time_run_out(pool, hold_id)
            elif act == "sweep":
                await holds.expire(holds_max=2)
            else:
                captured = amount if act == "captured" else 0
                change = HoldChange(hold_id=hold_id, state=HoldState(act), captured_micros=captured)
                await holds.change(change)


def _grant(grant_id: str, account_id: str, amount_micros: int) -> Grant:
    return Grant(
        grant_id=f"{grant_id}-{account_id}",
        account_id=account_id,
        environment=ENVIRONMENT,
        amount_micros=amount_micros,
        reason="test",
    )


async def _let_time_run_out(pool: Pool, hold_id: str) -> None:
    async with pool.connection() as connection:
        await connection.execute(
            "UPDATE holds SET expires_at = clock_timestamp() WHERE hold_id = %s", (hold_id,)
        )


@pytest.mark.parametrize("table", ["entries", "transactions"])
@pytest.mark.parametrize(
    "statement", ["UPDATE {} SET transaction_id = DEFAULT", "DELETE FROM {}", "TRUNCATE {} CASCADE"]
)
async def test_history_cannot_be_changed(billing: Billing, table: str, statement: str) -> None:
    await billing.account(credits_live=1)

    with pytest.raises(psycopg.errors.RestrictViolation, match="is append-only"):
        await billing.rows(statement.format(table))


async def test_entries_that_do_not_add_to_zero_cannot_be_written(billing: Billing) -> None:
    await billing.account(credits_live=1)
    [row] = await billing.rows("SELECT transaction_id FROM transactions")

    with pytest.raises(psycopg.errors.CheckViolation, match="add to zero"):
        await billing.rows("INSERT INTO entries VALUES (%s, 'revenue', 1, NULL)", row["transaction_id"])


@pytest.mark.parametrize("column", ["available_micros", "held_micros"])
async def test_a_balance_cannot_be_negative(billing: Billing, column: str) -> None:
    await billing.account()

    with pytest.raises(psycopg.errors.CheckViolation, match=f"balances_{column}_check"):
        await billing.rows(f"UPDATE balances SET {column} = -1")


async def test_history_names_what_caused_each_movement(billing: Billing) -> None:
    account = await billing.account(credits_live=100)
    await billing.hold("job_1", account, 10 * CREDIT)
    await billing.hold("job_2", account, 20 * CREDIT)
    await billing.hold("job_3", account, 30 * CREDIT)
    await billing.capture("job_1", 10 * CREDIT)
    await billing.release("job_2")
    await billing.let_time_run_out("job_3")
    await billing.sweep()

    history = await billing.rows("SELECT version, kind, reference, reason FROM transactions ORDER BY version")
    assert [tuple(row.values()) for row in history] == [
        (1, "grant", f"grant-{account}", "welcome"),
        (2, "hold", "job_1", ""),
        (3, "hold", "job_2", ""),
        (4, "hold", "job_3", ""),
        (5, "capture", "job_1", ""),
        (6, "release", "job_2", ""),
        (7, "expire", "job_3", ""),
    ]
