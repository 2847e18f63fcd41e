"""Months of jobs that come and go, in SQL: by functions with the rights of the tables' owner, which do just that."""

from dataclasses import dataclass
from datetime import timedelta

from psycopg.errors import LockNotAvailable
from sqlalchemy import text

from services.common.postgres.database import Pool, Query, fetch

_ADD = Query(text("SELECT add_job_partition(:prefix) AS added"))
_DROP = Query(
    text("SELECT forgotten, held_by, behind_seconds FROM drop_old_jobs(:prefix, CAST(:kept AS interval))")
)


@dataclass(frozen=True, kw_only=True)
class OldMonth:
    """A month that is older than jobs are kept."""

    forgotten: str | None
    """Its name, if it was forgotten just now."""
    held_by: str | None
    """What keeps it there."""
    behind_seconds: float
    """So long ago it was due."""


class SqlMonths:
    """Months of jobs. Each change is one commit, and gives up where the jobs are locked for more than a moment."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, prefix: str) -> str | None:
        """Makes the next month of a prefix, unless there are enough to come or the jobs are locked. Returns its name."""
        try:
            [row] = await fetch(self._pool, _ADD, prefix=prefix)
        except LockNotAvailable:
            return None
        return None if row["added"] is None else str(row["added"])

    async def drop(self, prefix: str, *, kept_days: int) -> list[OldMonth]:
        """Forgets the oldest month of a prefix that is too old and not held back. Returns it, and those before it that are.

        Raises LockNotAvailable where the jobs are locked.
        """
        rows = await fetch(self._pool, _DROP, prefix=prefix, kept=timedelta(days=kept_days))
        return [OldMonth(**row) for row in rows]
