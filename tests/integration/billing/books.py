"""What must be true of the ledger's tables at every moment, each rule as a query that finds what breaks it."""

import psycopg

BROKEN_RULES = {
    "a transaction is not zero in sum": (
        "SELECT transaction_id FROM entries GROUP BY transaction_id HAVING sum(amount_micros) <> 0"
    ),
    "a running balance is not the sum of what came before, or negative": """
        SELECT * FROM (
            SELECT balance_micros, sum(amount_micros) OVER (
                PARTITION BY account_id, environment, bucket ORDER BY version) AS counted
            FROM entries JOIN transactions USING (transaction_id) WHERE bucket IN ('available', 'held')
        ) AS running WHERE balance_micros <> counted OR counted < 0""",
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
    "what was captured and not refunded is not what was earned": """
        SELECT account_id FROM balances LEFT JOIN holds USING (account_id, environment)
        GROUP BY account_id, environment
        HAVING coalesce(sum(captured_micros - refunded_micros), 0) <> (
            SELECT coalesce(sum(amount_micros), 0) FROM entries JOIN transactions AS t USING (transaction_id)
            WHERE bucket = 'revenue' AND (t.account_id, t.environment) = (balances.account_id, balances.environment))""",
    "spending of today is not what its holds count to": """
        SELECT subject_id FROM spending LEFT JOIN holds
            ON holds.environment = spending.environment AND subject_id IN (holds.account_id, holds.key_id)
        GROUP BY subject_id, spending.environment
        HAVING day_micros <> coalesce(sum(
            CASE WHEN resolved_at IS NULL THEN amount_micros ELSE captured_micros END) FILTER (WHERE spent_on = day), 0)""",
}


def broken_rules(database_url: str) -> dict[str, list[object]]:
    """Returns what breaks each broken rule."""
    with psycopg.connect(database_url) as connection:
        found = {rule: connection.execute(query.encode()).fetchall() for rule, query in BROKEN_RULES.items()}
    return {rule: list(rows) for rule, rows in found.items() if rows}
