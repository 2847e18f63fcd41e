"""The duty that reads gauges from the database. Its statements read index ranges, and no more rows than a bound."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from psycopg.rows import DictRow
from sqlalchemy import text

from services.common.loop import Duty
from services.common.postgres.database import Pool, Query, fetch
from services.common.postgres.schema import number_of
from services.common.telemetry.metrics import BILLING, JOBS_WORKER, WEBHOOKS_DISPATCHER, gauge

IDLE_SECONDS = 10.0
ROWS_MAX = 1_000
"""Of a queue that are counted."""

_OLDEST = gauge(
    "reelgate_queue_oldest_seconds",
    "For how long what is due longest in a queue has been due. What waits for a place, for a provider or for its next"
    " try is not due. Of `deliveries`: for how long an account with something due has not been served.",
    labels=("queue",),
    of=(BILLING, JOBS_WORKER, WEBHOOKS_DISPATCHER),
)
_ROWS = gauge(
    "reelgate_queue_rows",
    f"How much is due in a queue, counted up to {ROWS_MAX:,}; of `deliveries`, the accounts that have something due.",
    labels=("queue",),
    of=(BILLING, JOBS_WORKER, WEBHOOKS_DISPATCHER),
)
_SCHEMA = gauge(
    "reelgate_schema_version",
    "The number of the newest migration that the database has.",
    labels=("service",),
    of=(BILLING, JOBS_WORKER, WEBHOOKS_DISPATCHER),
)
_VERSION = Query(text("SELECT max(version_num) AS revision FROM alembic_version"))


@dataclass(frozen=True)
class Reading:
    """A statement, and what shows its rows."""

    query: Query
    show: Callable[[Sequence[DictRow]], None]


def queue_reading(queue: str, *, due: str, order: str = "due_at") -> Reading:
    """Returns what reads a queue. `due` selects what is due by an index that is in the `order` of a column."""
    query = Query(
        text(f"""
        SELECT count(*) AS rows,
            CAST(coalesce(extract(epoch FROM now() - min({order})), 0) AS float8) AS oldest_seconds
        FROM ({due} ORDER BY {order} LIMIT {ROWS_MAX}) AS due
        """)  # noqa: S608
    )
    oldest, count = _OLDEST.labels(queue), _ROWS.labels(queue)

    def show(rows: Sequence[DictRow]) -> None:
        [found] = rows
        oldest.set(found["oldest_seconds"])
        count.set(found["rows"])

    return Reading(query, show)


def reading(pool: Pool, readings: Sequence[Reading], *, service: str) -> Duty:
    """Returns the duty that reads the gauges of a service, and the version of its schema.

    Every replica performs it, and tells the same.
    """
    schema = _SCHEMA.labels(service)

    def show_version(rows: Sequence[DictRow]) -> None:
        schema.set(number_of(rows[0]["revision"]))

    return Duty(
        "measure",
        partial(_read, pool, (*readings, Reading(_VERSION, show_version))),
        idle_seconds=IDLE_SECONDS,
    )


async def _read(pool: Pool, readings: Sequence[Reading]) -> int:
    for each in readings:
        each.show(await fetch(pool, each.query))
    return 0
