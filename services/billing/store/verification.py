"""The ledger as it is checked, in PostgreSQL.

What holds for each step from one balance to the next holds for their sum: no page adds up the history of a balance.
Rows that belong to a row of a page are looked up for that row (`OFFSET 0` makes sure), whatever plan looks cheaper:
the planner knows too little about tables that grow meanwhile.
"""

from collections.abc import Sequence
from typing import Any

from services.billing.domain import LedgerPart
from services.common.postgres.database import Pool
from services.common.verification.checks import Page
from services.common.verification.query import CheckQuery

RECOUNT_MAX = 20_000
"""Newest transactions of a balance among which its spending is recounted, and how many a page may read for that.

A day or month that has more is not recounted: spending guards limits, and what is owed does not depend on it.
"""

# A running balance follows the last entry of its bucket, on this page or before it: entries of 0 are not written.
_TRANSACTIONS = CheckQuery(
    "transactions",
    ("account_id", "environment", "version"),
    facts="""
    known AS (
        SELECT page.*,
            coalesce(
                lag(version) OVER (PARTITION BY account_id, environment ORDER BY version),
                (SELECT max(before.version) FROM transactions AS before
                    WHERE (before.account_id, before.environment) = (page.account_id, page.environment)
                        AND before.version < page.version),
                0) AS version_before,
            (SELECT CAST(sum(amount_micros) AS text) FROM entries
                WHERE entries.transaction_id = page.transaction_id) AS total,
            concat_ws(' ', 'of', account_id, environment) AS whose,
            (SELECT concat_ws(' ', 'hold of', account_id, environment) FROM holds
                WHERE hold_id = page.reference) AS hold,
            (SELECT concat_ws(' ', kind, 'of', account_id, environment) FROM transactions AS origin
                WHERE origin.transaction_id = page.refers_to) AS origin
        FROM page
    ), step AS (
        SELECT 'entries ' || transaction_id || ' ' || bucket AS row, kind, bucket, amount_micros, balance_micros,
            coalesce(
                lag(balance_micros) OVER (PARTITION BY account_id, environment, bucket ORDER BY version),
                (SELECT earlier.balance_micros
                    FROM transactions AS before JOIN entries AS earlier USING (transaction_id)
                    WHERE (before.account_id, before.environment) = (page.account_id, page.environment)
                        AND before.version < page.version AND earlier.bucket = entry.bucket
                    ORDER BY before.version DESC LIMIT 1),
                0) AS balance_before,
            CASE bucket
                WHEN 'available' THEN true
                WHEN 'held' THEN kind IN ('hold', 'capture', 'release', 'expire')
                WHEN 'revenue' THEN kind IN ('capture', 'refund')
                WHEN 'issued' THEN kind IN ('grant', 'correction')
                ELSE false END AS fits
        FROM page CROSS JOIN LATERAL (
            SELECT bucket, amount_micros, balance_micros FROM entries
            WHERE entries.transaction_id = page.transaction_id OFFSET 0
        ) AS entry
    )""",
    rules="""
        SELECT rule, 'transactions ' || transaction_id AS row, expected, found
        FROM known CROSS JOIN LATERAL (VALUES
            ('version_gap', CAST(version_before + 1 AS text), CAST(version AS text)),
            ('transaction_not_zero', '0', coalesce(total, 'no entries')),
            ('transaction_without_hold',
                CASE WHEN kind IN ('hold', 'capture', 'release', 'expire') THEN 'hold ' || whose END,
                CASE WHEN kind IN ('hold', 'capture', 'release', 'expire') THEN hold END),
            ('refund_without_capture', CASE WHEN kind = 'refund' THEN 'capture ' || whose END, origin)
        ) AS transaction_rule (rule, expected, found)
    UNION ALL
        SELECT rule, row, expected, found
        FROM step CROSS JOIN LATERAL (VALUES
            ('running_balance',
                CASE WHEN bucket IN ('available', 'held') THEN CAST(balance_before + amount_micros AS text) END,
                CAST(balance_micros AS text)),
            ('balance_negative', CASE WHEN balance_micros < 0 THEN '0 or more' ELSE CAST(balance_micros AS text) END,
                CAST(balance_micros AS text)),
            ('bucket_misused', 'a bucket of ' || kind, CASE WHEN fits THEN 'a bucket of ' || kind ELSE bucket END)
        ) AS entry_rule (rule, expected, found)""",
)

_MOVEMENT = "concat_ws(' ', {kind}, 'available', {available}, 'held', {held}, 'revenue', {revenue})"


def _moved(kind: str, *, available: str, held: str, revenue: str = "0") -> str:
    return _MOVEMENT.format(kind=kind, available=available, held=held, revenue=revenue)


def _sum_of(bucket: str) -> str:
    return f"coalesce(sum(amount_micros) FILTER (WHERE bucket = '{bucket}'), 0)"


# What a hold says of itself, written as the movements it must have had, beside those it had.
_HOLDS = CheckQuery(
    "holds",
    ("hold_id",),
    facts=f"""
    known AS (
        SELECT page.*, taken, resolved, (
                SELECT sum((
                    SELECT amount_micros FROM entries
                    WHERE entries.transaction_id = refund.transaction_id AND bucket = 'available'
                ))
                FROM transactions AS refund WHERE refers_to = capture_id
            ) AS refunded
        FROM page CROSS JOIN LATERAL (
            SELECT string_agg(told, ', ' ORDER BY version) FILTER (WHERE kind = 'hold') AS taken,
                string_agg(told, ', ' ORDER BY version) FILTER (WHERE kind <> 'hold') AS resolved,
                max(transaction_id) FILTER (WHERE kind = 'capture') AS capture_id
            FROM transactions CROSS JOIN LATERAL (
                SELECT {_moved("kind", available=_sum_of("available"), held=_sum_of("held"), revenue=_sum_of("revenue"))} AS told
                FROM entries WHERE entries.transaction_id = transactions.transaction_id
            ) AS movement
            WHERE reference = hold_id AND kind IN ('hold', 'capture', 'release', 'expire')
        ) AS movements
    )""",  # noqa: S608
    rules=f"""
        SELECT rule, 'holds ' || hold_id AS row, expected, found
        FROM known CROSS JOIN LATERAL (VALUES
            ('hold_not_taken_once', {_moved("'hold'", available="-amount_micros", held="amount_micros")}, taken),
            ('hold_not_resolved_once', CASE state
                WHEN 'captured' THEN {_moved("'capture'", available="amount_micros - captured_micros", held="-amount_micros", revenue="captured_micros")}
                WHEN 'released' THEN {_moved("'release'", available="amount_micros", held="-amount_micros")}
                WHEN 'expired' THEN {_moved("'expire'", available="amount_micros", held="-amount_micros")}
                END, resolved),
            ('hold_resolved_at', CASE WHEN state IN ('provisional', 'confirmed') THEN 'open' ELSE 'resolved' END,
                CASE WHEN resolved_at IS NULL THEN 'open' ELSE 'resolved' END),
            ('hold_refunded', CAST(coalesce(refunded, 0) AS text), CAST(refunded_micros AS text))
        ) AS hold_rule (rule, expected, found)""",  # noqa: S608
)


def _last_running(bucket: str) -> str:
    return f"""(SELECT CAST(last.balance_micros AS text)
                FROM transactions AS before JOIN entries AS last USING (transaction_id)
                WHERE (before.account_id, before.environment) = (page.account_id, page.environment)
                    AND last.bucket = '{bucket}'
                ORDER BY before.version DESC LIMIT 1)"""  # noqa: S608


# All open holds are read once: there are as many as unfinished jobs.
_BALANCES = CheckQuery(
    "balances",
    ("account_id", "environment"),
    facts="""
    open AS (
        SELECT account_id, environment, sum(amount_micros) AS held
        FROM page JOIN holds USING (account_id, environment) WHERE resolved_at IS NULL
        GROUP BY account_id, environment
    )""",
    rules=f"""
        SELECT rule, concat_ws(' ', 'balances', account_id, environment) AS row, expected, found
        FROM page LEFT JOIN open USING (account_id, environment) CROSS JOIN LATERAL (VALUES
            ('balance_available', coalesce({_last_running("available")}, '0'), CAST(available_micros AS text)),
            ('balance_held', coalesce({_last_running("held")}, '0'), CAST(held_micros AS text)),
            ('balance_version', (SELECT CAST(coalesce(max(before.version), 0) AS text) FROM transactions AS before
                WHERE (before.account_id, before.environment) = (page.account_id, page.environment)),
                CAST(version AS text)),
            ('balance_open_holds', CAST(coalesce(held, 0) AS text), CAST(held_micros AS text))
        ) AS balance_rule (rule, expected, found)""",  # noqa: S608
)

# The holds of a month are found through the newest transactions of the balance, whose order in time is that of
# their versions: an index of holds by day would make every hold dearer.
_SPENDING = CheckQuery(
    "spending",
    ("subject_id", "environment"),
    weight=f"""(
        SELECT least(version, {RECOUNT_MAX}) FROM balances
        WHERE (balances.account_id, balances.environment) = (spending.account_id, spending.environment)
    )""",  # noqa: S608
    weight_max=RECOUNT_MAX,
    facts=f"""
    known AS (
        SELECT page.*, recount.*
        FROM page CROSS JOIN LATERAL (
            SELECT coalesce(sum(spent) FILTER (WHERE spent_on = day), 0) AS day_spent,
                coalesce(sum(spent) FILTER (WHERE date_trunc('month', spent_on) = month), 0) AS month_spent,
                CASE WHEN count(*) < {RECOUNT_MAX} THEN '-infinity' ELSE min(created_at) END AS since
            FROM (
                SELECT newest.created_at, spent_on, CASE
                    WHEN page.subject_id NOT IN (holds.account_id, coalesce(key_id, '')) THEN 0
                    WHEN resolved_at IS NULL THEN amount_micros
                    ELSE captured_micros END AS spent
                FROM (
                    SELECT kind, reference, created_at FROM transactions
                    WHERE (account_id, environment) = (page.account_id, page.environment)
                    ORDER BY version DESC LIMIT {RECOUNT_MAX}
                ) AS newest LEFT JOIN LATERAL (
                    SELECT * FROM holds WHERE newest.kind = 'hold' AND hold_id = newest.reference OFFSET 0
                ) AS holds ON true
            ) AS movement
        ) AS recount
        WHERE month = date_trunc('month', now() AT TIME ZONE 'UTC')
    )""",  # noqa: S608
    rules="""
        SELECT rule, concat_ws(' ', 'spending', subject_id, environment) AS row, expected, found
        FROM known CROSS JOIN LATERAL (VALUES
            ('spending_day', day, CAST(day_spent AS text), CAST(day_micros AS text)),
            ('spending_month', month, CAST(month_spent AS text), CAST(month_micros AS text))
        ) AS spending_rule (rule, period_start, expected, found)
        WHERE since < CAST(period_start AS timestamp) AT TIME ZONE 'UTC'""",
)

_QUERIES = {
    LedgerPart.TRANSACTIONS: _TRANSACTIONS,
    LedgerPart.HOLDS: _HOLDS,
    LedgerPart.BALANCES: _BALANCES,
    LedgerPart.SPENDING: _SPENDING,
}
assert _QUERIES.keys() == set(LedgerPart)


class SqlLedgerPages:
    """The ledger, as it is checked."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def page(self, part: LedgerPart, after: Sequence[Any], *, rows_max: int) -> Page:
        """Checks the rows that follow a key, `rows_max` at most, as they all were at one moment."""
        return await _QUERIES[part].page(self._pool, after, rows_max=rows_max)
