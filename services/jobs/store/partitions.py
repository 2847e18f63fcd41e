"""Jobs lie in partitions, by the month and prefix of their ids: how a statement finds the one it needs.

The bounds are texts of the collation "C", whatever the database has been made with, and the primary keys of the
partitions are in its own. So a condition on an id is told twice, and a plan that is made for every id still opens one
partition only. A planner takes a search in many of them for dear and might read whole tables instead: a job that
belongs to another row is therefore looked up in a subquery of its own.

A statement that locks rows finds partitions by its parameters alone, before it begins: while it waits for a row and
looks at it again, PostgreSQL 18 (until 18.4) forgets by what it was to find them later, and reads others or crashes.

A plan opens all partitions that the values of the statement do not rule out, even if it then reads one. So a page is
sought in the last months before its beginning first, and in all only if those do not fill it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from ulid import ULID

from services.common.ids import new_ulid

LAST_PREFIX = "vid"
"""Of the prefixes of jobs, the one that comes last in the order of ids, and so first on a page."""
RECENT = timedelta(days=45)
_MOMENT_CHARACTERS = 10


def has_id(column: str, job_id: str) -> str:
    """Returns the condition that a column of `jobs` is an id: one half finds the partition, the other the row in it."""
    return f'{column} = {job_id} AND {column} COLLATE "C" = {job_id}'


def is_one(column: str, value: str) -> str:
    """Returns the condition that a column equals a value of another row, for which each such row is sought by index.

    As a plain comparison it could join two tables that are read whole, and would where few rows are expected.
    """
    return f"{column} = ANY (ARRAY[{value}])"


def within(column: str) -> str:
    """Returns the condition that an id in a column of `jobs` lies in the bounds of `these_ids`, which find the partitions."""
    return f'{column} COLLATE "C" BETWEEN :first_id AND :last_id'


def among(column: str) -> str:
    """Returns the condition that a column of `jobs` is one of `these_ids`: bounds find the partitions, the ids the rows."""
    return f"{column} = ANY (CAST(:job_ids AS text[])) AND {within(column)}"


def these_ids(job_ids: Sequence[str]) -> dict[str, Any]:
    """Returns the parameters of `among`. If the prefixes of jobs differ, many partitions lie between their bounds."""
    return {"job_ids": job_ids, "first_id": min(job_ids), "last_id": max(job_ids)}


def job_of(job_id: str) -> str:
    """Returns a subquery, to be joined as LATERAL: the job with an id.

    Where rows are locked, the id must be a parameter. Otherwise it may be what another part of the statement has.
    """
    return f"(SELECT * FROM jobs WHERE {has_id('jobs.id', job_id)} LIMIT 1)"  # noqa: S608


def prefix_of(job_id: str) -> str:
    """Returns the prefix of an id: that of its contract."""
    return job_id.partition("_")[0]


def recent_id(before_id: str | None, *, now: datetime) -> str:
    """Returns where the last months of a page begin: one of the newest jobs, or of those before an id. "": at the first."""
    prefix, _, ulid = (before_id or f"{LAST_PREFIX}_{new_ulid(now)}").partition("_")
    try:
        since = ULID.from_str(ulid.upper()).datetime - RECENT
        return f"{prefix}_{new_ulid(since)[:_MOMENT_CHARACTERS]}"
    except (ValueError, OverflowError):
        return ""
