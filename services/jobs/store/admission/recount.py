"""What is kept about places is compared with `work`, put right and tidied up, in SQL."""

from dataclasses import dataclass

from sqlalchemy import text

from services.common.postgres.database import Pool, Query, fetch
from services.jobs.store.admission.waiting import deciding

MEND_ACTION = "places.mend"
"""What audit entries call counts that were put right."""
FOLDED_FROM = 16
"""Changes. The function folds no fewer."""
FOLDED_MAX = 200
"""Accounts and environments in one transaction."""


@dataclass(frozen=True, kw_only=True)
class Miscount:
    """By how much the counts of an account, or of one of its keys, were lower than what `work` says."""

    account_id: str
    environment: str
    key_id: str
    placed_more: int
    waiting_more: int


# One statement of the function compares and notes the difference, so nothing else need stop meanwhile.
MEND = Query(
    text("""
    WITH mended AS (
        SELECT of_account AS account_id, of_environment AS environment, of_key AS key_id, placed_more, waiting_more
        FROM mend_places()
    ), noted AS (
        INSERT INTO audit (actor, action, subject_id, reason, details)
        SELECT 'jobs', :action, account_id, 'its jobs were counted anew', jsonb_build_object('environment', environment,
            'key_id', key_id, 'placed', placed_more, 'waiting', waiting_more)
        FROM mended
    )
    SELECT * FROM mended
    """)
)

UNFOLDED = Query(
    text(f"""
    SELECT account_id, environment FROM place_changes GROUP BY account_id, environment
    HAVING count(*) >= {FOLDED_FROM} LIMIT :most
    """)  # noqa: S608
)

FOLD = Query(
    text("""
    SELECT fold_places(account_id, environment)
    FROM unnest(CAST(:account_ids AS text[]), CAST(:environments AS text[])) AS owner (account_id, environment)
    """)
)


class SqlPlaces:
    """What is kept about places."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def mend(self) -> list[Miscount]:
        """Counts all unfinished jobs and puts right what is kept about them, with an audit entry for each difference."""
        return [Miscount(**row) for row in await fetch(self._pool, MEND, action=MEND_ACTION)]

    async def fold(self) -> None:
        """Folds changes of accounts that have many and take no place that would fold them."""
        rows = await fetch(self._pool, UNFOLDED, most=FOLDED_MAX)
        if not rows:
            return
        owners = sorted((row["account_id"], row["environment"]) for row in rows)
        async with self._pool.connection() as connection, deciding(connection, owners):
            bound = FOLD.bind(
                account_ids=[account_id for account_id, _ in owners],
                environments=[environment for _, environment in owners],
            )
            await connection.execute(FOLD.sql, bound)
