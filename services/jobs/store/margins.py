"""Revenue and cost by day, in SQL. Triggers note each change; here the notes are added up and read."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from sqlalchemy import text

from services.common.postgres.database import Pool, Query, fetch
from services.jobs.domain.margins import Margin, MarginKey, dollar_micros
from services.jobs.store.partitions import job_of

NOTES_MAX = 1_000
"""Added up in one commit."""
_AMOUNTS = ("completed_jobs", "failed_jobs", "charged_micros", "returned_micros", "cost_micros")
_KEY = "day, account_id, contract, model, provider"

# One at a time, so that what a report does not see was noted after it began.
_ALONE = Query(text("SELECT pg_advisory_xact_lock(7266431)"))
FOLD = Query(
    text(f"""
    WITH noted AS MATERIALIZED (
        DELETE FROM margin_changes
        WHERE change_id = ANY (ARRAY(SELECT change_id FROM margin_changes ORDER BY change_id LIMIT :most))
        RETURNING *
    ), summed AS (
        SELECT coalesce(CAST(job.created_at AT TIME ZONE 'UTC' AS date), CAST(now() AT TIME ZONE 'UTC' AS date)) AS day,
            coalesce(job.account_id, '') AS account_id, coalesce(job.contract, '') AS contract,
            coalesce(job.model, '') AS model, noted.provider,
            {", ".join(f"sum(noted.{name}) AS {name}" for name in _AMOUNTS)}
        FROM noted LEFT JOIN LATERAL {job_of("noted.job_id")} AS job ON true
        GROUP BY 1, 2, 3, 4, 5
    ), added AS (
        INSERT INTO margins_daily AS known ({_KEY}, {", ".join(_AMOUNTS)})
        SELECT {_KEY}, {", ".join(_AMOUNTS)} FROM summed ORDER BY {_KEY}
        ON CONFLICT ({_KEY}) DO UPDATE SET
            {", ".join(f"{name} = known.{name} + excluded.{name}" for name in _AMOUNTS)}
    )
    SELECT count(*) AS notes FROM noted
    """)  # noqa: S608
)


def _report(key: MarginKey) -> Query:
    return Query(
        text(f"""
        SELECT {key} AS key, CAST(sum(completed_jobs) AS bigint) AS completed_jobs,
            CAST(sum(failed_jobs) AS bigint) AS failed_jobs, CAST(sum(cost_micros) AS bigint) AS cost_micros,
            coalesce(sum((charged_micros - returned_micros) * CAST(worth AS numeric)), 0) AS product,
            min(contract) FILTER (WHERE worth IS NULL AND charged_micros <> 0) AS worthless
        FROM margins_daily LEFT JOIN (
            SELECT * FROM unnest(CAST(:contracts AS text[]), CAST(:worths AS bigint[])) AS _ (contract, worth)
        ) AS credit USING (contract)
        WHERE day BETWEEN :since AND :until AND (CAST(:after AS text) IS NULL OR {key} > CAST(:after AS text))
        GROUP BY {key} ORDER BY {key} LIMIT :most
        """)  # noqa: S608
    )


REPORTS = {key: _report(key) for key in MarginKey}


class WorthlessCreditError(Exception):
    """Something was charged on a contract whose credits have no value in dollars."""

    def __init__(self, contract: str) -> None:
        super().__init__(contract)
        self.contract = contract


class SqlMargins:
    """Revenue and cost of jobs of the live environment, by the UTC day of their creation."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def fold(self) -> int:
        """Adds up the oldest changes that are noted. Returns how many."""
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute(_ALONE.sql)
            cursor = await connection.execute(FOLD.sql, FOLD.bind(most=NOTES_MAX))
            row = await cursor.fetchone()
        assert row is not None
        return int(row["notes"])

    async def report(
        self,
        key: MarginKey,
        *,
        since: date,
        until: date,
        worths: Mapping[str, int],
        after: str | None,
        limit: int,
    ) -> list[Margin]:
        """Returns the lines of the days from `since` to `until`, both included, whose key follows `after`.

        `worths` is what a credit of each contract is worth, in millionths of a dollar. Raises WorthlessCreditError.
        """
        while await self.fold() == NOTES_MAX:
            pass
        rows = await fetch(
            self._pool,
            REPORTS[key],
            since=since,
            until=until,
            contracts=list(worths),
            worths=list(worths.values()),
            after=after,
            most=limit,
        )
        return [_margin(row) for row in rows]


def _margin(row: Mapping[str, Any]) -> Margin:
    if row["worthless"] is not None:
        raise WorthlessCreditError(row["worthless"])
    return Margin(
        key=row["key"],
        completed_jobs=row["completed_jobs"],
        failed_jobs=row["failed_jobs"],
        revenue_micros=dollar_micros(int(row["product"])),
        cost_micros=row["cost_micros"],
    )
