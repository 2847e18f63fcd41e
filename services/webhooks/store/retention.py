"""Old events in PostgreSQL, forgotten with their deliveries and attempts. How, is in a function of the migrations."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from services.common.postgres.database import Pool, Query, fetch

EVENTS_MAX = 500
_FIRST = (datetime.min.replace(tzinfo=UTC), "")
_FORGET = Query(
    text("""
    SELECT * FROM forget_events(
        :after_at, :after_id, :kept_min, :kept_usual, CAST(:account_ids AS text[]), CAST(:kept AS interval[]), :most
    )
    """)
)


class OldEvents:
    """Walks through old events, batch by batch, from the oldest on, and begins again at the end."""

    def __init__(self, pool: Pool, *, kept_days: int, kept_days_of: Mapping[str, int]) -> None:
        """Accounts that `kept_days_of` does not name have `kept_days`."""
        self._pool = pool
        self._kept_days = kept_days
        self._kept_days_of = kept_days_of
        self._place = _FIRST

    async def forget(self) -> int:
        """Forgets a batch of at most EVENTS_MAX, in one commit. Returns how many it looked at; 0 at the end."""
        [row] = await fetch(
            self._pool,
            _FORGET,
            after_at=self._place[0],
            after_id=self._place[1],
            kept_min=timedelta(days=min([self._kept_days, *self._kept_days_of.values()])),
            kept_usual=timedelta(days=self._kept_days),
            account_ids=list(self._kept_days_of),
            kept=[timedelta(days=days) for days in self._kept_days_of.values()],
            most=EVENTS_MAX,
        )
        self._place = (row["last_at"], row["last_id"]) if row["examined_count"] else _FIRST
        return int(row["examined_count"])
