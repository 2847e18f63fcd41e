"""Revenue and cost by day, checked against a count of jobs and attempts, in SQL."""

from services.common.verification.query import CheckQuery
from services.jobs.store.partitions import job_of

NOTES_COUNTED_MAX = 10_000
"""While more changes wait to be added up than a page can add itself, a page says nothing."""
JOBS_RECOUNTED_MAX = 20_000
"""In one page, if the usage is right. A page has one day of one model at least."""

_AMOUNTS = ("completed_jobs", "failed_jobs", "charged_micros", "returned_micros", "cost_micros")
_SUMS = ", ".join(f"sum({name}) AS {name}" for name in _AMOUNTS)


def _shown(part: str) -> str:
    """Returns the query for what a part has for a row of the page: each provider with its amounts."""
    return f"""(
            SELECT string_agg(concat_ws(' ', coalesce(nullif(provider, ''), 'nobody'), completed_jobs, 'completed',
                failed_jobs, 'failed', charged_micros, 'charged', returned_micros, 'returned',
                CASE WHEN has_costs THEN cost_micros END, CASE WHEN has_costs THEN 'cost' END), ', ' ORDER BY provider)
            FROM (SELECT provider, {_SUMS} FROM {part} WHERE {part}.number = page.number GROUP BY provider) AS summed
            WHERE completed_jobs <> 0 OR failed_jobs <> 0 OR charged_micros <> 0 OR returned_micros <> 0
                OR has_costs AND cost_micros <> 0
        )"""  # noqa: S608


# Usage has a row wherever a job has ended, and is itself checked against the jobs. Attempts are deleted with the content
# of their job, and what ended before margins were counted is in none.
MARGINS = CheckQuery(
    "usage_daily",
    ("account_id", "environment", "day", "model"),
    weight="greatest(completed_jobs + failed_jobs, 0)",
    weight_max=JOBS_RECOUNTED_MAX,
    facts=f"""
    countable AS MATERIALIZED (
        SELECT * FROM page WHERE environment = 'live'
            AND day >= coalesce((SELECT CAST(max(made_before) AS date) + 2 FROM forgotten_jobs), '-infinity')
    ), waiting AS MATERIALIZED (
        SELECT * FROM margin_changes LIMIT {NOTES_COUNTED_MAX + 1}
    ), noted AS MATERIALIZED (
        SELECT waiting.*, job.account_id, job.model, CAST(job.created_at AT TIME ZONE 'UTC' AS date) AS day
        FROM waiting CROSS JOIN LATERAL {job_of("waiting.job_id")} AS job
    ), mine AS MATERIALIZED (
        SELECT page.number, job.* FROM countable AS page CROSS JOIN LATERAL (
            SELECT id, status, charged_micros, returned_micros, rendered_by, ended_at, content_deleted_at FROM jobs
            WHERE jobs.account_id COLLATE "C" = page.account_id AND jobs.environment COLLATE "C" = 'live'
                AND jobs.model = page.model
                AND created_at >= CAST(day AS timestamp) AT TIME ZONE 'UTC'
                AND created_at < CAST(day + 1 AS timestamp) AT TIME ZONE 'UTC'
        ) AS job
    ), counted AS MATERIALIZED (
        SELECT number, rendered_by AS provider, CAST(status = 'completed' AS int) AS completed_jobs,
            CAST(status = 'failed' AS int) AS failed_jobs, charged_micros, returned_micros, 0 AS cost_micros
        FROM mine WHERE ended_at IS NOT NULL AND rendered_by IS NOT NULL
        UNION ALL
        SELECT number, attempt.provider, 0, 0, 0, 0, attempt.cost_micros
        FROM mine CROSS JOIN LATERAL (
            SELECT provider, cost_micros FROM attempts WHERE job_id = mine.id AND cost_micros <> 0
        ) AS attempt
    ), written AS MATERIALIZED (
        SELECT number, known.provider, {", ".join(f"known.{name}" for name in _AMOUNTS)}
        FROM countable AS page CROSS JOIN LATERAL (
            SELECT * FROM margins_daily AS days
            WHERE days.day = page.day AND days.account_id = page.account_id AND days.model = page.model
        ) AS known
        UNION ALL
        SELECT number, provider, {", ".join(f"noted.{name}" for name in _AMOUNTS)}
        FROM noted JOIN countable AS page USING (account_id, day, model)
    ), known AS (
        SELECT page.*, NOT EXISTS (
            SELECT FROM mine WHERE mine.number = page.number AND content_deleted_at IS NOT NULL
        ) AS has_costs
        FROM countable AS page
    )""",  # noqa: S608
    rules=f"""
        SELECT 'margin_day' AS rule, concat_ws(' ', 'margins_daily', account_id, day, model) AS row,
            {_shown("counted")} AS expected, {_shown("written")} AS found
        FROM known AS page WHERE (SELECT count(*) FROM waiting) <= {NOTES_COUNTED_MAX}""",  # noqa: S608
)
