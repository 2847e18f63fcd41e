"""Jobs as customers create and read them, in SQL. Every read is an index range of bounded length."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Date,
    Integer,
    Select,
    bindparam,
    cast,
    func,
    insert,
    literal_column,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY

from services.common.batching import Batcher
from services.common.database import Pool, Query
from services.jobs.domain import Job, Owner, State, Status, UsageCount
from services.jobs.store.rows import JOB_COLUMNS, job_from_row, job_to_row
from services.jobs.tables import jobs, usage_daily, work

JOBS_PER_BATCH_MAX = 100
LATEST = datetime(9000, 1, 1, tzinfo=UTC)
"""No job is created after it, so ranges are cut there: the last days of the calendar have no next day."""

_MILLISECOND = timedelta(milliseconds=1)
_DAY = timedelta(days=1)
_NEW_COLUMNS = (
    "id", "account_id", "environment", "contract", "status", "model", "input", "callback_url", "metadata",
    "price_version", "micros_per_second", "reserved_micros", "created_at",
)  # fmt: skip


def _owned_by_caller(table: Any) -> tuple[ColumnElement[bool], ...]:
    return (
        table.c.account_id == bindparam("account_id"),
        table.c.environment == bindparam("environment"),
    )


def _constant(word: str) -> ColumnElement[str]:
    # Constants stay in the text, so that a plan made for all parameters still knows them.
    return literal_column(f"'{word}'")


def _create() -> Query:
    columns = [cast(bindparam(name), ARRAY(jobs.c[name].type)) for name in _NEW_COLUMNS]
    new = func.unnest(*columns).table_valued(*_NEW_COLUMNS).render_derived(name="new")
    accepted = insert(jobs).from_select(_NEW_COLUMNS, select(new)).returning(jobs.c.id).cte()
    due = select(accepted.c.id, _constant(State.PENDING))
    return Query(insert(work).from_select(["job_id", "state"], due))


def _newest(*, by_status: bool, before: bool) -> Query:
    # The collation ties a page to its own indexes: the primary key has another and cannot serve this order.
    ordered_id = jobs.c.id.collate("C")
    page = select(*JOB_COLUMNS).where(*_owned_by_caller(jobs))
    if by_status:
        page = page.where(jobs.c.status == bindparam("status"))
    if before:
        page = page.where(ordered_id < bindparam("before_id"))
    return Query(page.order_by(ordered_id.desc()).limit(bindparam("most", type_=Integer)))


def _each_job(statuses: Sequence[Status], since: str, until: str) -> Select[Any]:
    """One row for each job created from `since` on, before `until`, shaped like a row of usage_daily."""
    failed = _is(Status.FAILED)
    return select(
        cast(func.timezone(_constant("UTC"), jobs.c.created_at), Date).label("day"),
        jobs.c.model,
        _is(Status.PENDING).label("pending"),
        _is(Status.PROCESSING).label("processing"),
        _is(Status.COMPLETED).label("completed"),
        failed.label("failed"),
        (jobs.c.charged_micros + failed * jobs.c.refunded_micros).label("charged_micros"),
        (failed * jobs.c.refunded_micros).label("refunded_micros"),
    ).where(
        *_owned_by_caller(jobs),
        jobs.c.status.in_([_constant(status) for status in statuses]),
        jobs.c.created_at >= bindparam(since),
        jobs.c.created_at < bindparam(until),
    )


def _is(status: Status) -> ColumnElement[int]:
    return cast(jobs.c.status == _constant(status), Integer)


def _usage() -> Query:
    finished = (Status.COMPLETED, Status.FAILED)
    whole_days = select(
        usage_daily.c.day,
        usage_daily.c.model,
        literal_column("0").label("pending"),
        literal_column("0").label("processing"),
        usage_daily.c.completed_jobs.label("completed"),
        usage_daily.c.failed_jobs.label("failed"),
        usage_daily.c.charged_micros,
        usage_daily.c.refunded_micros,
    ).where(
        *_owned_by_caller(usage_daily),
        usage_daily.c.day >= bindparam("first_day"),
        usage_daily.c.day < bindparam("day_after"),
    )
    parts = union_all(
        whole_days,
        _each_job(finished, "since", "head_until"),
        _each_job(finished, "tail_since", "until"),
        _each_job((Status.PENDING, Status.PROCESSING), "since", "until"),
    ).subquery()
    sums = [
        cast(func.sum(column), BigInteger).label(column.name)
        for column in parts.c
        if column.name not in ("day", "model")
    ]
    return Query(select(parts.c.day, parts.c.model, *sums).group_by(parts.c.day, parts.c.model))


CREATE = _create()
# By the id alone: with the owner beside it, a planner without statistics may read all of the owner's jobs.
GET = Query(select(*JOB_COLUMNS).where(jobs.c.id == func.any(bindparam("ids"))))
NEWEST = {
    (by_status, before): _newest(by_status=by_status, before=before)
    for by_status in (False, True)
    for before in (False, True)
}
USAGE = _usage()


def usage_ranges(start: datetime, end: datetime) -> dict[str, Any]:
    """Returns the parameters of USAGE: whole UTC days in the middle, and what is left of a day at each end.

    All ranges exclude their ends. Jobs are created at whole milliseconds, so the last one counted is `end`.
    """
    since, until = min(start, LATEST), min(end, LATEST) + _MILLISECOND
    first_day = (since + _DAY - timedelta.resolution).date()
    day_after = max(until.date(), first_day)
    return {
        "since": since,
        "head_until": min(_midnight(first_day), until),
        "first_day": first_day,
        "day_after": day_after,
        "tail_since": _midnight(day_after),
        "until": until,
    }


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


class SqlJobs:
    """The port Jobs, on PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._creations = Batcher(self._create, items_max=JOBS_PER_BATCH_MAX)
        self._reads = Batcher(self._read, items_max=JOBS_PER_BATCH_MAX)

    async def create(self, job: Job) -> None:
        """Stores a job and makes it due, in one commit that it may share with others."""
        await self._creations.submit(job)

    async def get(self, job_id: str, *, owner: Owner) -> Job | None:
        """Returns the owner's job."""
        found = await self._reads.submit(job_id)
        return found if found is not None and found.owner == owner else None

    async def newest(
        self, *, owner: Owner, status: Status | None, before_id: str | None, limit: int
    ) -> list[Job]:
        """Returns the owner's jobs from newest to oldest, those before `before_id` only."""
        values: dict[str, Any] = {"most": limit}
        if status is not None:
            values["status"] = status.value
        if before_id is not None:
            values["before_id"] = before_id
        query = NEWEST[status is not None, before_id is not None]
        return [job_from_row(row) for row in await self._rows(query, owner, **values)]

    async def usage(self, *, owner: Owner, start: datetime, end: datetime) -> list[UsageCount]:
        """Returns counts of the owner's jobs created from `start` to `end`, both included, by day and model."""
        rows = await self._rows(USAGE, owner, **usage_ranges(start, end))
        return [UsageCount(**row) for row in rows]

    async def _create(self, batch: Sequence[Job]) -> Sequence[None]:
        rows = [job_to_row(job) for job in batch]
        bound = CREATE.bind(**{name: [row[name] for row in rows] for name in _NEW_COLUMNS})
        async with self._pool.connection() as connection:
            await connection.execute(CREATE.sql, bound)
        return [None] * len(batch)

    async def _read(self, batch: Sequence[str]) -> Sequence[Job | None]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(GET.sql, GET.bind(ids=list(set(batch))))
            found = {row["id"]: job_from_row(row) for row in await cursor.fetchall()}
        return [found.get(job_id) for job_id in batch]

    async def _rows(self, query: Query, owner: Owner, **values: Any) -> list[dict[str, Any]]:
        bound = query.bind(account_id=owner.account_id, environment=owner.environment, **values)
        async with self._pool.connection() as connection:
            cursor = await connection.execute(query.sql, bound)
            return await cursor.fetchall()
