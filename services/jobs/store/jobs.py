"""Jobs as customers create and read them, in SQL. Every read is an index range of bounded length."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from sqlalchemy import ColumnElement, Integer, bindparam, select, text
from typing_extensions import override

from services.common.clock import Clock, utc_now
from services.common.postgres.batching import Batcher
from services.common.postgres.database import Pool, Query, fetch, fetch_within
from services.common.postgres.reader import KeyedRows, NoAnswerError, Reader
from services.jobs.domain.job import Job, UsageCount
from services.jobs.domain.requests import CAPS_DEFAULT, Caps, Owner
from services.jobs.domain.states import Status
from services.jobs.ports import Jobs
from services.jobs.refusals import job_late, job_limit_reached
from services.jobs.store.admission.creation import CREATE, NewJob, creation_values, owners_of
from services.jobs.store.admission.waiting import AccountEnvironment, SqlWaiting, deciding
from services.jobs.store.partitions import has_id, job_of, recent_id
from services.jobs.store.rows import JOB_COLUMNS, job_from_row
from services.jobs.store.usage import BY_INDEX_ALONE, USAGE, usage_ranges
from services.jobs.tables import jobs

JOBS_PER_BATCH_MAX = 100
FULL_SECONDS = 1.0
"""So long a process refuses what it would have to set credits aside for, only to be refused by the database."""


def _owned_by_caller(table: Any) -> tuple[ColumnElement[bool], ...]:
    return (
        table.c.account_id == bindparam("account_id"),
        table.c.environment == bindparam("environment"),
    )


def _newest(*, by_status: bool, before: bool) -> Query:
    # The collation ties a page to its own indexes: the primary key has another and cannot serve this order.
    ordered_id = jobs.c.id.collate("C")
    page = select(*JOB_COLUMNS).where(*_owned_by_caller(jobs), ordered_id >= bindparam("from_id"))
    if by_status:
        page = page.where(jobs.c.status == bindparam("status"))
    if before:
        page = page.where(ordered_id < bindparam("before_id"))
    page = page.order_by(ordered_id.desc()).limit(bindparam("most", type_=Integer))
    return Query(page.offset(bindparam("skipped", 0, type_=Integer)))


# By the id alone: with the owner beside it, a planner without statistics may read all of the owner's jobs.
GET = Query(
    text(f"""
    SELECT {", ".join(f"found.{column.name}" for column in JOB_COLUMNS)}
    FROM unnest(CAST(:ids AS text[])) AS wanted (id) CROSS JOIN LATERAL {job_of("wanted.id")} AS found
    """)  # noqa: S608
)
# What most callers ask: with the id as a value of its own, no other partition is opened.
GET_ONE = Query(
    text(f"SELECT {', '.join(column.name for column in JOB_COLUMNS)} FROM jobs WHERE {has_id('id', ':id')}")  # noqa: S608
)
BY_ID = KeyedRows(key="id", one=GET_ONE, several=GET, keys_max=JOBS_PER_BATCH_MAX)
NEWEST = {
    (by_status, before): _newest(by_status=by_status, before=before)
    for by_status in (False, True)
    for before in (False, True)
}


class Refusal(Enum):
    """Why a new job is not stored."""

    LATE = "late"
    EXCESS = "excess"


@dataclass(frozen=True, kw_only=True)
class _Full:
    """An account and environment that has as many unfinished jobs as it may."""

    unfinished_max: int
    until: float
    """So long nobody looks again."""


class SqlJobs(Jobs):
    """Jobs on PostgreSQL. Creations that come together share a commit, and reads share a statement.

    A single job is read by `reader`, or from the pool while there is none that answers.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        reader: Reader | None = None,
        waiting: SqlWaiting | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self._pool = pool
        self._reader = reader
        self._clock = clock
        self._waiting = waiting or SqlWaiting(pool)
        self._creations = Batcher(
            self._create, items_max=JOBS_PER_BATCH_MAX, name="create_jobs", name_of=lambda new: new[0].id
        )
        self._reads = Batcher(self._read, items_max=JOBS_PER_BATCH_MAX, name="read_jobs", name_of=str)
        self._full: dict[AccountEnvironment, _Full] = {}

    @override
    def refuse_if_full(self, owner: Owner) -> None:
        full = self._full.get((owner.account_id, owner.environment))
        if full is not None and asyncio.get_running_loop().time() < full.until:
            raise job_limit_reached(full.unfinished_max)

    @override
    async def create(self, job: Job, *, caps: Caps = CAPS_DEFAULT) -> None:
        refusal = await self._creations.submit((job, caps))
        if refusal is Refusal.LATE:
            raise job_late()
        if refusal is Refusal.EXCESS:
            self._note_full(job.owner, caps.unfinished_jobs)
            raise job_limit_reached(caps.unfinished_jobs)

    @override
    async def find(self, job_id: str, *, owner: Owner) -> Job | None:
        found = await self._read_one(job_id)
        return found if found is not None and found.owner == owner else None

    @override
    async def newest(
        self, *, owner: Owner, status: Status | None, before_id: str | None, limit: int, offset: int = 0
    ) -> list[Job]:
        values: dict[str, Any] = {
            "account_id": owner.account_id,
            "environment": owner.environment,
            "most": limit,
            "skipped": offset,
        }
        if status is not None:
            values["status"] = status.value
        if before_id is not None:
            values["before_id"] = before_id
        query = NEWEST[status is not None, before_id is not None]
        for from_id in (recent_id(before_id, now=self._clock()), ""):
            rows = await fetch(self._pool, query, from_id=from_id, **values)
            if len(rows) == limit:
                break
        return [job_from_row(row) for row in rows]

    @override
    async def usage(self, *, owner: Owner, start: datetime, end: datetime) -> list[UsageCount]:
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute(BY_INDEX_ALONE.sql)
            rows = await fetch_within(
                connection,
                USAGE,
                account_id=owner.account_id,
                environment=owner.environment,
                **usage_ranges(start, end),
            )
        return [UsageCount(**row) for row in rows]

    def _note_full(self, owner: Owner, unfinished_max: int) -> None:
        now = asyncio.get_running_loop().time()
        self._full = {place: full for place, full in self._full.items() if full.until > now}
        full = _Full(unfinished_max=unfinished_max, until=now + FULL_SECONDS)
        self._full[owner.account_id, owner.environment] = full

    async def _create(self, batch: Sequence[NewJob]) -> Sequence[Refusal | None]:
        """Returns of each job why it was not stored, if so."""
        async with self._pool.connection() as connection:
            async with deciding(connection, owners_of(batch)):
                cursor = await connection.execute(CREATE.sql, CREATE.bind(**creation_values(batch)))
            told = await cursor.fetchall()
        refusals = {
            row["refused_id"]: Refusal.LATE if row["is_late"] else Refusal.EXCESS
            for row in told
            if row["refused_id"] is not None
        }
        await asyncio.gather(
            *(
                self._waiting.follow(row["account_id"], row["environment"])
                for row in told
                if row["refused_id"] is None
            )
        )
        return [refusals.get(job.id) for job, _ in batch]

    async def _read_one(self, job_id: str) -> Job | None:
        if self._reader is not None:
            with suppress(NoAnswerError):
                row = await self._reader.find(job_id)
                return None if row is None else job_from_row(row)
        return await self._reads.submit(job_id)

    async def _read(self, batch: Sequence[str]) -> Sequence[Job | None]:
        ids = list(set(batch))
        query, values = (GET_ONE, {"id": ids[0]}) if len(ids) == 1 else (GET, {"ids": ids})
        rows = await fetch(self._pool, query, **values)
        found = {row["id"]: job_from_row(row) for row in rows}
        return [found.get(job_id) for job_id in batch]


class SqlAnyJobs:
    """Jobs by their ids, whoever owns them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def get(self, job_ids: Sequence[str]) -> list[Job]:
        """Returns the jobs with these ids that there are."""
        return [job_from_row(row) for row in await fetch(self._pool, GET, ids=list(job_ids))]
