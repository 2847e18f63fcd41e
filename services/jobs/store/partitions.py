"""Jobs lie in partitions, by the month and prefix of their ids: how a statement finds the one it needs.

The bounds are texts of the collation "C", whatever the database has been made with, and the primary keys of the
partitions are in its own. So a condition on an id is told twice, and a plan that is made for every id still opens one
partition only. A planner takes a search in many of them for dear and might read whole tables instead: a job that
belongs to another row is therefore looked up in a subquery of its own.

A plan opens all partitions that the values of the statement do not rule out, even if it then reads one. So a page is
sought in the last months before its beginning first, and in all only if those do not fill it.
"""

from datetime import datetime, timedelta

from ulid import ULID

from services.common.ids import new_ulid

LAST_PREFIX = "vid"
"""Of the prefixes of jobs, the one that comes last in the order of ids, and so first on a page."""
RECENT = timedelta(days=45)
_MOMENT_CHARACTERS = 10


def has_id(column: str, job_id: str) -> str:
    """Returns the condition that a column of `jobs` is an id: one half finds the partition, the other the row in it."""
    return f'{column} = {job_id} AND {column} COLLATE "C" = {job_id}'


def job_of(job_id: str) -> str:
    """Returns a subquery, to be joined as LATERAL: the job with the id that another part of the statement has."""
    return f"(SELECT * FROM jobs WHERE {has_id('jobs.id', job_id)} LIMIT 1)"  # noqa: S608


def recent_id(before_id: str | None, *, now: datetime) -> str:
    """Returns where the last months of a page begin: one of the newest jobs, or of those before an id. "": at the first."""
    prefix, _, ulid = (before_id or f"{LAST_PREFIX}_{new_ulid(now)}").partition("_")
    try:
        since = ULID.from_str(ulid.upper()).datetime - RECENT
        return f"{prefix}_{new_ulid(since)[:_MOMENT_CHARACTERS]}"
    except (ValueError, OverflowError):
        return ""
