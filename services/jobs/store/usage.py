"""What an owner did in a range of time, in SQL: roll-ups of whole days and hours, and single jobs at its two ends.

However long the range and the history, no more is read than the roll-ups in the range, the jobs of less than an
hour at each end, and the jobs that have not ended.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Date,
    Integer,
    Select,
    bindparam,
    cast,
    func,
    literal_column,
    select,
    text,
    union_all,
)

from services.common.postgres.database import Query
from services.jobs.domain.states import Status
from services.jobs.tables import jobs, usage_daily, usage_hourly

LATEST = datetime(9000, 1, 1, tzinfo=UTC)
"""No job is created after it, so ranges are cut there: the last days of the calendar have no next day."""

_MILLISECOND = timedelta(milliseconds=1)
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NONE: ColumnElement[int] = literal_column("0")


def _day_of(moment: ColumnElement[datetime]) -> ColumnElement[date]:
    return cast(func.timezone(literal_column("'UTC'"), moment), Date)


def _is(status: Status) -> ColumnElement[int]:
    # Constants stay in the text, so that a plan made for all parameters still knows them.
    return cast(jobs.c.status == literal_column(f"'{status}'"), Integer)


def _rolled_up(period: Column[Any], since: str, until: str, *, day: ColumnElement[date]) -> Select[Any]:
    sums = period.table.c
    return select(
        day.label("day"),
        sums.model,
        _NONE.label("pending"),
        _NONE.label("processing"),
        sums.completed_jobs.label("completed"),
        sums.failed_jobs.label("failed"),
        sums.charged_micros,
        sums.refunded_micros,
    ).where(
        sums.account_id == bindparam("account_id"),
        sums.environment == bindparam("environment"),
        period >= bindparam(since),
        period < bindparam(until),
    )


def _each_job(since: str, until: str, *, collation: str) -> Select[Any]:
    # The collation ties this to one index: from any other that begins alike, all the owner's jobs might be read.
    return select(
        _day_of(jobs.c.created_at).label("day"),
        jobs.c.model,
        *(_is(status).label(status.value) for status in Status),
        (jobs.c.charged_micros + jobs.c.refunded_micros).label("charged_micros"),
        (jobs.c.refunded_micros + jobs.c.returned_micros).label("refunded_micros"),
    ).where(
        jobs.c.account_id.collate(collation) == bindparam("account_id"),
        jobs.c.environment.collate(collation) == bindparam("environment"),
        jobs.c.created_at >= bindparam(since),
        jobs.c.created_at < bindparam(until),
    )


def _unfinished(since: str, until: str) -> Select[Any]:
    is_unfinished = jobs.c.status.in_([literal_column("'pending'"), literal_column("'processing'")])
    return _each_job(since, until, collation="POSIX").where(is_unfinished)


def _usage() -> Query:
    day, hour = usage_daily.c.day, usage_hourly.c.hour
    parts = union_all(
        _rolled_up(day, "first_day", "day_after", day=day),
        _rolled_up(hour, "first_hour", "head_hour_after", day=_day_of(hour)),
        _rolled_up(hour, "tail_hour", "hour_after", day=_day_of(hour)),
        _each_job("since", "head_until", collation="C"),
        _each_job("tail_since", "until", collation="C"),
        _unfinished("first_hour", "hour_after"),
    ).subquery()
    sums = [
        cast(func.sum(column), BigInteger).label(column.name)
        for column in parts.c
        if column.name not in ("day", "model")
    ]
    return Query(select(parts.c.day, parts.c.model, *sums).group_by(parts.c.day, parts.c.model))


# For its transaction: without statistics, or with old ones, whole tables or processes of its own may look cheap.
BY_INDEX_ALONE = Query(
    text(
        "SELECT set_config('enable_seqscan', 'off', true),"
        " set_config('max_parallel_workers_per_gather', '0', true)"
    )
)
USAGE = _usage()


def usage_ranges(start: datetime, end: datetime) -> dict[str, Any]:
    """Returns the parameters of USAGE: whole UTC days in the middle, whole hours around them, jobs at the ends.

    All ranges exclude their ends. Jobs are created at whole milliseconds, so the last one counted is `end`.
    """
    since, until = min(start, LATEST), min(end, LATEST) + _MILLISECOND
    first_hour, hour_after = _whole(since, until, _HOUR)
    first_midnight, midnight_after = _whole(first_hour, hour_after, _DAY)
    return {
        "since": since,
        "head_until": min(first_hour, until),
        "first_hour": first_hour,
        "head_hour_after": min(first_midnight, hour_after),
        "first_day": first_midnight.date(),
        "day_after": midnight_after.date(),
        "tail_hour": midnight_after,
        "hour_after": hour_after,
        "tail_since": hour_after,
        "until": until,
    }


def _whole(since: datetime, until: datetime, unit: timedelta) -> tuple[datetime, datetime]:
    """Returns where the first whole unit begins and where the last one ends; the same moment if there is none."""
    first = since + (_EPOCH - since) % unit
    return first, max(until - (until - _EPOCH) % unit, first)
