"""Jobs, their usage and their places as they are checked, in SQL."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from typing_extensions import override

from services.common.postgres.database import Pool, Query, fetch
from services.common.verification.checks import Page
from services.common.verification.query import CheckQuery
from services.jobs.domain.ledger import JobRecord, UsagePart
from services.jobs.domain.states import State, Status
from services.jobs.ports import Records
from services.jobs.store.admission.places import counted_places
from services.jobs.store.admission.waiting import IS_WAITING
from services.jobs.store.margin_verification import MARGINS
from services.jobs.store.partitions import job_of

JOBS_RECOUNTED_MAX = 50_000
"""In one page of roll-ups by the hour, if they are right. A page has one roll-up at least."""

# What belongs to a job is looked up for that job, whatever the planner believes to be cheaper.
_RECORD = """
    SELECT id AS job_id, account_id, environment, status, key_id, contract, reserved_micros, charged_micros, refunded_micros,
        returned_micros, refunds_applied_micros, refunds_waiting_micros,
        (SELECT state FROM work WHERE work.job_id = id) AS state,
        (SELECT true FROM usage_hourly AS usage
            WHERE (usage.account_id, usage.environment, usage.model) = (jobs.account_id, jobs.environment, jobs.model)
                AND hour = date_trunc('hour', created_at, 'UTC')) IS NOT NULL AS is_counted
    FROM {jobs} AS jobs CROSS JOIN LATERAL (
        SELECT CAST(coalesce(sum(amount_micros) FILTER (WHERE applied_at IS NOT NULL), 0) AS bigint)
                AS refunds_applied_micros,
            CAST(coalesce(sum(amount_micros) FILTER (WHERE applied_at IS NULL), 0) AS bigint)
                AS refunds_waiting_micros
        FROM refunds WHERE refunds.job_id = id
    ) AS refund
"""
_NAMED = f"""(
        SELECT found.* FROM unnest(CAST(:job_ids AS text[])) AS named (id) CROSS JOIN LATERAL {job_of("named.id")} AS found
    )"""  # noqa: S608
_GET = Query(text(_RECORD.format(jobs=_NAMED)))
_FORGOTTEN = Query(
    text("""
    SELECT id FROM unnest(CAST(:job_ids AS text[])) AS named (id)
    WHERE EXISTS (SELECT FROM forgotten_jobs WHERE id COLLATE "C" >= low AND id COLLATE "C" < high)
    """)
)
_PAGE = Query(text(f"{_RECORD.format(jobs='jobs')} WHERE id > :after_id ORDER BY id LIMIT :jobs_max"))


def _counts(completed: str, failed: str, charged: str, refunded: str) -> str:
    return f"concat_ws(' ', {completed}, 'completed', {failed}, 'failed', {charged}, 'charged', {refunded}, 'refunded')"


_COLUMNS = ("completed_jobs", "failed_jobs", "charged_micros", "refunded_micros")
_WRITTEN = _counts(*(f"page.{column}" for column in _COLUMNS))
_ADDED = _counts(*(f"coalesce(sum(hours.{column}), 0)" for column in _COLUMNS))
_HAS_ENDED = "FILTER (WHERE status IN ('completed', 'failed'))"
_COUNTED = _counts(
    "count(*) FILTER (WHERE status = 'completed')",
    "count(*) FILTER (WHERE status = 'failed')",
    f"coalesce(sum(jobs.charged_micros + jobs.refunded_micros) {_HAS_ENDED}, 0)",
    f"coalesce(sum(jobs.refunded_micros + jobs.returned_micros) {_HAS_ENDED}, 0)",
)

_HOURS = CheckQuery(
    "usage_hourly",
    ("account_id", "environment", "hour", "model"),
    weight="greatest(completed_jobs + failed_jobs, 0)",
    weight_max=JOBS_RECOUNTED_MAX,
    facts="""
    known AS (
        SELECT page.*, CAST(hour AT TIME ZONE 'UTC' AS date) AS day FROM page
    )""",
    # A job may come a day later than its id was reserved, and a part of an hour cannot be counted anew.
    rules=f"""
        SELECT rule, concat_ws(' ', 'usage_hourly', account_id, environment, hour, model) AS row, expected, found
        FROM known AS page CROSS JOIN LATERAL (VALUES
            ('usage_hour', CASE WHEN hour < (SELECT max(made_before) + interval '2 days' FROM forgotten_jobs)
                THEN {_WRITTEN} ELSE (
                SELECT {_COUNTED} FROM jobs
                WHERE jobs.account_id COLLATE "C" = page.account_id AND jobs.environment COLLATE "C" = page.environment
                    AND jobs.model = page.model
                    AND created_at >= hour AND created_at < hour + interval '1 hour'
            ) END, {_WRITTEN}),
            ('usage_day_missing', CAST(day AS text), (
                SELECT CAST(days.day AS text) FROM usage_daily AS days
                WHERE (days.account_id, days.environment, days.day, days.model)
                    = (page.account_id, page.environment, page.day, page.model)
            ))
        ) AS hour_rule (rule, expected, found)""",  # noqa: S608
)

_DAYS = CheckQuery(
    "usage_daily",
    ("account_id", "environment", "day", "model"),
    facts=f"""
    known AS (
        SELECT page.*, {_WRITTEN} AS written, (
                SELECT {_ADDED} FROM usage_hourly AS hours
                WHERE (hours.account_id, hours.environment, hours.model) = (page.account_id, page.environment, page.model)
                    AND hour >= CAST(day AS timestamp) AT TIME ZONE 'UTC'
                    AND hour < CAST(day + 1 AS timestamp) AT TIME ZONE 'UTC'
            ) AS added
        FROM page
    )""",  # noqa: S608
    rules="""
        SELECT 'usage_day' AS rule, concat_ws(' ', 'usage_daily', account_id, environment, day, model) AS row,
            added AS expected, written AS found
        FROM known""",
)


def _places(placed: str, waiting: str) -> str:
    return f"concat_ws(' ', {placed}, 'placed', {waiting}, 'waiting')"


def _work_counted(condition: str) -> str:
    return f"""(
                SELECT count(*) FROM work
                WHERE {condition} AND work.account_id = page.account_id AND work.environment = page.environment
                    AND page.key_id IN ('', work.key_id)
            )"""  # noqa: S608


# Whoever stores a job notes its caps. So these name whatever is counted, and more than what is kept about it may.
_PLACES = CheckQuery(
    "caps",
    ("account_id", "environment", "key_id"),
    weight=f"(SELECT placed_count + waiting_count FROM {counted_places('caps', key='caps.key_id')} AS kept)",  # noqa: S608
    weight_max=JOBS_RECOUNTED_MAX,
    facts=f"""
    known AS (
        SELECT page.*, {_places("kept.placed_count", "kept.waiting_count")} AS written,
            {_places(_work_counted("admitted_at IS NOT NULL"), _work_counted(IS_WAITING))} AS counted
        FROM page CROSS JOIN LATERAL {counted_places("page", key="page.key_id")} AS kept
    )""",  # noqa: S608
    rules="""
        SELECT 'places' AS rule, concat_ws(' ', 'places', account_id, environment, nullif(key_id, '')) AS row,
            counted AS expected, written AS found
        FROM known""",
)

_USAGE = {UsagePart.HOURS: _HOURS, UsagePart.DAYS: _DAYS}
assert _USAGE.keys() == set(UsagePart)


class SqlRecords(Records):
    """Records on PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @override
    async def get(self, job_ids: Sequence[str]) -> list[JobRecord]:
        return await self._records(_GET, job_ids=list(job_ids)) if job_ids else []

    @override
    async def forgotten(self, job_ids: Sequence[str]) -> set[str]:
        rows = await fetch(self._pool, _FORGOTTEN, job_ids=list(job_ids)) if job_ids else []
        return {row["id"] for row in rows}

    @override
    async def page(self, *, after_id: str, jobs_max: int) -> list[JobRecord]:
        return await self._records(_PAGE, after_id=after_id, jobs_max=jobs_max)

    @override
    async def usage_page(self, part: UsagePart, after: Sequence[Any], *, rows_max: int) -> Page:
        return await _USAGE[part].page(self._pool, after, rows_max=rows_max)

    @override
    async def places_page(self, after: Sequence[Any], *, rows_max: int) -> Page:
        return await _PLACES.page(self._pool, after, rows_max=rows_max)

    @override
    async def margins_page(self, after: Sequence[Any], *, rows_max: int) -> Page:
        return await MARGINS.page(self._pool, after, rows_max=rows_max)

    async def _records(self, query: Query, **values: Any) -> list[JobRecord]:
        return [_record(row) for row in await fetch(self._pool, query, **values)]


def _record(row: dict[str, Any]) -> JobRecord:
    state = None if row["state"] is None else State(row["state"])
    return JobRecord(**{**row, "status": Status(row["status"]), "state": state})
