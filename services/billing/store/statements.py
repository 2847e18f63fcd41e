"""What moved balances, in PostgreSQL."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text

from services.billing.domain import StatementLine, StatementRange
from services.common.postgres.database import Pool, Query, fetch

# Versions count without gaps and their moments do not go back, because both are given under the lock of the balance.
# So the last movement before a range is found by halving, and a page reads little more than its own movements.
_LINES = Query(
    text("""
    WITH RECURSIVE halving AS (
        SELECT CAST(:after_version AS bigint) AS low, version AS high
        FROM balances WHERE account_id = :account_id AND environment = :environment
        UNION ALL
        SELECT CASE WHEN created_at < :start THEN middle ELSE low END,
               CASE WHEN created_at < :start THEN high ELSE middle - 1 END
        FROM (SELECT low, high, (low + high + 1) / 2 AS middle FROM halving WHERE low < high) AS half
        JOIN transactions ON account_id = :account_id AND environment = :environment AND version = middle
    ), before AS (
        SELECT max(low) AS version FROM halving
    ), page AS (
        SELECT transaction_id, version, created_at, kind, reference, reason
        FROM transactions
        WHERE account_id = :account_id AND environment = :environment AND version > (SELECT version FROM before)
        ORDER BY version LIMIT :lines_max
    ), opening AS (
        SELECT bucket, last.balance_micros
        FROM (VALUES ('available'), ('held')) AS buckets (bucket) CROSS JOIN LATERAL (
            SELECT balance_micros FROM transactions JOIN entries USING (transaction_id)
            WHERE account_id = :account_id AND environment = :environment
                AND version <= (SELECT version FROM before) AND entries.bucket = buckets.bucket
            ORDER BY version DESC LIMIT 1
        ) AS last
    )
    SELECT version, created_at AS occurred_at, kind, reference, reason,
        coalesce(available.amount_micros, 0) AS to_available_micros,
        coalesce(held.amount_micros, 0) AS to_held_micros,
        available.balance_micros AS available_micros,
        held.balance_micros AS held_micros,
        (SELECT balance_micros FROM opening WHERE bucket = 'available') AS opening_available_micros,
        (SELECT balance_micros FROM opening WHERE bucket = 'held') AS opening_held_micros
    FROM page
    LEFT JOIN entries AS available
        ON available.transaction_id = page.transaction_id AND available.bucket = 'available'
    LEFT JOIN entries AS held ON held.transaction_id = page.transaction_id AND held.bucket = 'held'
    WHERE date_trunc('milliseconds', created_at) <= :end
    ORDER BY version
    """)
)


class SqlStatements:
    """What moved balances."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def lines(self, wanted: StatementRange) -> list[StatementLine]:
        """Returns the first movements of a range, oldest first."""
        return _lines(await fetch(self._pool, _LINES, **vars(wanted)))


def _lines(rows: Sequence[dict[str, Any]]) -> list[StatementLine]:
    """A movement has an entry only for what it changed; the rest is as it was after the movement before."""
    lines: list[StatementLine] = []
    for row in rows:
        values = dict(row)
        for name in ("available_micros", "held_micros"):
            opening_micros = values.pop(f"opening_{name}") or 0
            if values[name] is None:
                values[name] = getattr(lines[-1], name) if lines else opening_micros
        lines.append(StatementLine(**values))
    return lines
