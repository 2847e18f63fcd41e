"""Nobody can rewrite the history, and what does not add up cannot be written."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.integration.billing.books import broken_rules
from tests.integration.billing.running import CREDIT, Billing

APPEND_ONLY = {
    "transactions": "reason",
    "entries": "amount_micros",
    "price_versions": "valid_from",
    "prices": "micros_per_second",
    "audit": "reason",
}
"""Tables, each with a column."""
STRANGER = "reelgate_test_stranger"


@pytest.fixture
def stranger(billing: Billing) -> Iterator[str]:
    """A role that may do everything to every table, but is neither their owner nor a superuser."""
    with psycopg.connect(billing.database_url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {STRANGER}")
        connection.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {STRANGER}")
        try:
            yield STRANGER
        finally:
            connection.execute(f"DROP OWNED BY {STRANGER}")
            connection.execute(f"DROP ROLE {STRANGER}")


async def _account_with_a_history(billing: Billing) -> str:
    account = await billing.account(credits_live=100)
    await billing.hold("job_1", account, 10 * CREDIT)
    await billing.capture("job_1", 9 * CREDIT)
    await billing.refund("refund_1", "job_1", CREDIT)
    return account


async def test_history_can_be_changed_neither_by_the_role_of_the_service_nor_by_others(
    billing: Billing, stranger: str
) -> None:
    await _account_with_a_history(billing)
    before = await billing.everything()

    for role in ("NONE", stranger):
        with psycopg.connect(billing.database_url, autocommit=True) as connection:
            connection.execute(f"SET ROLE {role}".encode())
            for table, column in APPEND_ONLY.items():
                for change in (
                    f"UPDATE {table} SET {column} = {column}",
                    f"DELETE FROM {table}",
                    f"TRUNCATE {table} CASCADE",
                ):
                    with pytest.raises(psycopg.errors.RestrictViolation, match="is append-only"):
                        connection.execute(change.encode())

    assert await billing.everything() == before


UNSOUND = {
    "(1, 'revenue', 1, NULL)": "add to zero",
    "(1, 'revenue', 1, NULL), (1, 'held', -2, 1)": "add to zero",
    "(1, 'revenue', 1, NULL), (2, 'revenue', -1, NULL)": "add to zero",
    "(99, 'revenue', 1, NULL), (99, 'issued', -1, NULL)": "after it",
    "(1, 'revenue', 0, NULL)": "entries_amount_micros_check",
    "(1, 'held', 1, -1), (1, 'revenue', -1, NULL)": "entries_balance_micros_check",
    "(1, 'revenue', 1, 1), (1, 'held', -1, 1)": "entries_balance_micros_check",
    "(1, 'gifts', 1, NULL), (1, 'revenue', -1, NULL)": "entries_balance_micros_check",
}


async def test_entries_that_do_not_add_up_cannot_be_written(billing: Billing) -> None:
    for _ in range(2):
        await billing.account(credits_live=1)
    before = await billing.everything()

    for entries, fault in UNSOUND.items():
        with pytest.raises(psycopg.IntegrityError, match=fault):
            await billing.rows(f"INSERT INTO entries VALUES {entries}")

    assert await billing.everything() == before


async def test_a_version_of_a_balance_cannot_be_written_twice(billing: Billing) -> None:
    account = await billing.account(credits_live=1)

    with pytest.raises(psycopg.errors.UniqueViolation, match="transactions_version_key"):
        await billing.rows(
            "INSERT INTO transactions (account_id, environment, version, kind, reference)"
            " VALUES (%s, 'live', 1, 'grant', 'g2')",
            account,
        )


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
    await billing.refund("refund_1", "job_1", 4 * CREDIT, reason="blurred")
    await billing.correct(account, -CREDIT, correction_id="correction_1")

    history = await billing.rows(
        "SELECT t.version, t.kind, t.reference, t.reason, origin.version AS refers_to"
        " FROM transactions AS t LEFT JOIN transactions AS origin ON origin.transaction_id = t.refers_to"
        " ORDER BY t.version"
    )
    assert [tuple(row.values()) for row in history] == [
        (1, "grant", f"grant-{account}", "welcome", None),
        (2, "hold", "job_1", "", None),
        (3, "hold", "job_2", "", None),
        (4, "hold", "job_3", "", None),
        (5, "capture", "job_1", "", None),
        (6, "release", "job_2", "", None),
        (7, "expire", "job_3", "", None),
        (8, "refund", "refund_1", "blurred", 5),
        (9, "correction", "correction_1", "welcome", None),
    ]
    assert broken_rules(billing.database_url) == {}
