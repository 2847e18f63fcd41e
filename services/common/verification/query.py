"""Checks that are SQL: each page is one statement, which sees everything at one moment."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text

from services.common.postgres.database import Pool, Query
from services.common.verification.checks import Finding, Page


class CheckQuery:
    """A report, compiled once: the rows of a page, what else is known of them, and a line for each rule.

    `facts` are common table expressions over `page`, which has all columns of the table and `number`. `rules` is a
    select of `rule`, `row`, `expected` and `found`, all text: where the last two differ, a rule is broken.
    A page ends before the sum of `weight` over its rows exceeds `weight_max`, but has one row at least.
    """

    def __init__(
        self,
        table: str,
        key: Sequence[str],
        *,
        facts: str,
        rules: str,
        weight: str = "0",
        weight_max: int = 0,
    ) -> None:
        columns = ", ".join(key)
        after = ", ".join(f":after_{number}" for number, _ in enumerate(key))
        key_texts = ", ".join(f"CAST({column} AS text)" for column in key)
        self._query = Query(
            text(f"""
            WITH near AS MATERIALIZED (
                SELECT *, ARRAY[{key_texts}] AS key, row_number() OVER near AS number, sum({weight}) OVER near AS weight
                FROM {table} WHERE ({columns}) > ({after})
                WINDOW near AS (ORDER BY {columns}) ORDER BY {columns} LIMIT :rows_max
            ), page AS MATERIALIZED (
                SELECT * FROM near WHERE number = 1 OR weight <= {weight_max}
            ), size AS (
                SELECT (SELECT count(*) FROM near) AS near_count, count(*) AS checked_count FROM page
            ), {facts}, fault AS (
                {rules}
            )
            SELECT checked_count, last.key AS last_key, fault.rule, fault.row, fault.expected, fault.found
            FROM size
            LEFT JOIN page AS last ON number = checked_count AND (number = :rows_max OR number < near_count)
            LEFT JOIN fault ON expected IS DISTINCT FROM found
            """)  # noqa: S608
        )

    async def page(self, pool: Pool, after: Sequence[Any], *, rows_max: int) -> Page:
        """Checks the rows that follow a key, as they all were at one moment."""
        key = {f"after_{number}": value for number, value in enumerate(after)}
        bound = self._query.bind(**key, rows_max=rows_max)
        async with pool.connection() as connection:
            rows = await (await connection.execute(self._query.sql, bound)).fetchall()
        return Page(
            findings=[_finding(row) for row in rows if row["rule"] is not None],
            checked_count=rows[0]["checked_count"],
            last_key=rows[0]["last_key"],
        )


def _finding(row: dict[str, Any]) -> Finding:
    expected, found = (row[name] or "nothing" for name in ("expected", "found"))
    return Finding(rule=row["rule"], row=row["row"], detail=f"expected {expected}, found {found}")
