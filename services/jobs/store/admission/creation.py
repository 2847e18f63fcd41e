"""The statement that stores new jobs, in SQL: each with a place at a provider, or waiting for one."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.dialects import postgresql

from services.common.postgres.database import Query
from services.jobs.domain.job import Job
from services.jobs.domain.ledger import CREATION_SECONDS_MAX
from services.jobs.domain.requests import Caps
from services.jobs.store.admission.places import counted_places
from services.jobs.store.admission.waiting import AccountEnvironment
from services.jobs.store.rows import job_to_row
from services.jobs.tables import jobs

NewJob = tuple[Job, Caps]

_COLUMNS = (
    "id", "account_id", "environment", "contract", "status", "model", "input", "callback_url", "metadata",
    "key_id", "moderation_profile", "price_version", "micros_per_second", "reserved_micros", "created_at",
    "reference_fields", "traceparent", "names_seed",
)  # fmt: skip
_NAMES = ", ".join(_COLUMNS)
_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]
_EARLIEST = f"now() - make_interval(secs => {CREATION_SECONDS_MAX})"
_ARRAYS = ", ".join(f"CAST(:{name} AS {jobs.c[name].type.compile(_DIALECT)}[])" for name in _COLUMNS)

# Where anybody waits, or not all of an account's new jobs find room, they line up, to be let in by age. A job whose
# id is there already is a creation repeated under the id that was reserved for it. Returns where some lined up although
# not all places are taken, and which jobs were refused: because they come late, or because too many of the account are
# unfinished already. Those that wait are counted only where somebody waits, and as many as may be unfinished at most.
# In a full account, whoever gives a place back lets the next one in.
CREATE = Query(
    text(f"""
    WITH asked AS (
        SELECT * FROM unnest(CAST(:cap_accounts AS text[]), CAST(:cap_environments AS text[]),
            CAST(:cap_keys AS text[]), CAST(:cap_jobs AS int[]), CAST(:cap_unfinished AS bigint[]),
            CAST(:cap_new AS int[]))
            AS asked (account_id, environment, key_id, jobs_max, unfinished_max, new_count)
    ), noted AS (
        INSERT INTO caps (account_id, environment, key_id, jobs_max)
        SELECT account_id, environment, key_id, jobs_max FROM asked
        WHERE NOT EXISTS (
            SELECT FROM caps WHERE caps.account_id = asked.account_id AND caps.environment = asked.environment
                AND caps.key_id = asked.key_id AND caps.jobs_max = asked.jobs_max
        )
        ORDER BY account_id, environment, key_id
        ON CONFLICT (account_id, environment, key_id) DO UPDATE SET jobs_max = excluded.jobs_max
    ), counted AS (
        SELECT asked.*, placed_count, waiting_count
        FROM asked CROSS JOIN LATERAL {counted_places("asked", key="asked.key_id")} AS counted_place
    ), crowded AS (
        SELECT account_id, environment, bool_or(key_id = '' AND placed_count >= jobs_max) AS is_full
        FROM counted GROUP BY account_id, environment
        HAVING bool_or(jobs_max - new_count < placed_count OR waiting_count > 0)
    ), numbered AS (
        SELECT *, row_number() OVER (PARTITION BY account_id, environment ORDER BY id) AS place
        FROM unnest({_ARRAYS}) AS asked_for ({_NAMES})
    ), new AS MATERIALIZED (
        SELECT numbered.*, created_at <= {_EARLIEST} AS is_late,
            place > unfinished_max - placed_count - waiting_count AS is_excess
        FROM numbered JOIN counted USING (account_id, environment) WHERE counted.key_id = ''
    ), accepted AS (
        INSERT INTO jobs ({_NAMES})
        SELECT {_NAMES} FROM new WHERE NOT (is_late OR is_excess)
        ON CONFLICT DO NOTHING
        RETURNING id, account_id, environment, key_id
    ), lined_up AS (
        INSERT INTO work (job_id, state, account_id, environment, key_id, admitted_at, due_at)
        SELECT id, 'pending', accepted.account_id, accepted.environment, key_id,
            CASE WHEN crowded.account_id IS NULL THEN now() END,
            CASE WHEN crowded.account_id IS NULL THEN now() ELSE 'infinity' END
        FROM accepted LEFT JOIN crowded USING (account_id, environment)
        RETURNING account_id, environment, admitted_at
    )
    SELECT DISTINCT account_id, environment, CAST(NULL AS text) AS refused_id, false AS is_late
    FROM lined_up JOIN crowded USING (account_id, environment) WHERE admitted_at IS NULL AND NOT is_full
    UNION ALL SELECT NULL, NULL, id, is_late FROM new WHERE is_late OR is_excess
    """)  # noqa: S608
)


def owners_of(batch: Sequence[NewJob]) -> list[AccountEnvironment]:
    """Returns the accounts and environments of new jobs."""
    return sorted({(job.owner.account_id, job.owner.environment) for job, _ in batch})


def creation_values(batch: Sequence[NewJob]) -> dict[str, Any]:
    """Returns the parameters of CREATE. Of the caps of one account or key, those that came last hold."""
    rows = [job_to_row(job) for job, _ in batch]
    jobs_max: dict[tuple[str, str, str], int] = {}
    unfinished_max: dict[tuple[str, str, str], int] = {}
    new_count = Counter[tuple[str, str, str]]()
    for job, caps in batch:
        for key_id, most in {job.key_id: caps.key_jobs, "": caps.account_jobs}.items():
            capped = (job.owner.account_id, job.owner.environment, key_id)
            jobs_max[capped] = most
            unfinished_max[capped] = 0 if key_id else caps.unfinished_jobs
            new_count[capped] += 1
    return {
        **{name: [row[name] for row in rows] for name in _COLUMNS},
        "cap_accounts": [account_id for account_id, _, _ in jobs_max],
        "cap_environments": [environment for _, environment, _ in jobs_max],
        "cap_keys": [key_id for _, _, key_id in jobs_max],
        "cap_jobs": list(jobs_max.values()),
        "cap_unfinished": list(unfinished_max.values()),
        "cap_new": [new_count[capped] for capped in jobs_max],
    }
