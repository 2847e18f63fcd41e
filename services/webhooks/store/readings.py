"""What is due and how old events are, in SQL, for the metrics."""

from collections.abc import Mapping, Sequence
from functools import partial

from psycopg.rows import DictRow
from sqlalchemy import text

from services.common.postgres.database import Query
from services.common.telemetry.readings import Reading, queue_reading
from services.common.telemetry.retention_metrics import RETENTION_BEHIND

SECONDS_PER_DAY = 86_400
_BEHIND = RETENTION_BEHIND.labels("events")
_OLDEST_EVENT = Query(
    text("""
    SELECT CAST(extract(epoch FROM now() - accepted_at) AS float8) AS seconds
    FROM events ORDER BY accepted_at LIMIT 1
    """)
)
# A dispatcher that serves an account puts it behind all others that have something due, also if a receiver of the account
# is busy. So this grows only while nobody serves.
_DELIVERIES = queue_reading(
    "deliveries", due="SELECT next_due_at FROM turns WHERE next_due_at <= now()", order="next_due_at"
)


def readings(*, kept_days: int, kept_days_of: Mapping[str, int]) -> tuple[Reading, ...]:
    """Returns what is read. Events are kept so many days, or as many as an account has of its own."""
    kept_seconds = max([kept_days, *kept_days_of.values()]) * SECONDS_PER_DAY
    return (_DELIVERIES, Reading(_OLDEST_EVENT, partial(_show_behind, kept_seconds)))


def _show_behind(kept_seconds: int, rows: Sequence[DictRow]) -> None:
    oldest_seconds = rows[0]["seconds"] if rows else 0.0
    _BEHIND.set(max(0.0, oldest_seconds - kept_seconds))
