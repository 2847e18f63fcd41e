"""Claims and their rows: what a statement that takes jobs returns about them."""

from collections.abc import Mapping
from typing import Any

from services.jobs.domain.claims import Attempt, Claim
from services.jobs.domain.states import State
from services.jobs.store.partitions import job_of
from services.jobs.store.rows import JOB_COLUMNS, job_from_row

ATTEMPT_COLUMNS = (
    "id", "job_id", "number", "route", "upstream_model", "token", "lease_no", "opened_at", "task_id",
    "claimed_task_id", "is_claim_authentic", "closed_at", "provider", "credential", "key_name", "quoted_micros",
)  # fmt: skip
TAKEN_COLUMNS = """work.job_id, state, lease_no, wake_no, check_count, admitted_at, claim_count, stalled_since,
            last_error"""
GOT_ON = "check_count = 0, claim_count = 0, stalled_since = NULL, last_error = NULL, awaits_fetch = false"
"""Changes of a work row that moved, or that an operator has looked after."""
_JOB = ", ".join(f"jobs.{column.name}" for column in JOB_COLUMNS)
_LATEST = ", ".join(f"latest.{name} AS attempt_{name}" for name in ATTEMPT_COLUMNS)

CLAIMED = f"""
    SELECT {_JOB}, taken.state, taken.lease_no, taken.wake_no, taken.check_count, taken.claim_count,
        taken.last_error, {_LATEST},
        CAST(coalesce(extract(epoch FROM now() - taken.stalled_since), 0) AS float8) AS stalled_seconds,
        CAST(coalesce(extract(epoch FROM now() - taken.admitted_at), 0) AS float8) AS admitted_seconds,
        CAST(coalesce(extract(epoch FROM now() - latest.opened_at), 0) AS float8) AS attempt_age_seconds
    FROM taken
    CROSS JOIN LATERAL {job_of("taken.job_id")} AS jobs
    LEFT JOIN LATERAL (
        SELECT * FROM attempts WHERE attempts.job_id = taken.job_id ORDER BY number DESC LIMIT 1
    ) AS latest ON true
"""  # noqa: S608
"""What claim_from_row reads, of the work rows `taken`, each with TAKEN_COLUMNS."""


def claim_from_row(row: Mapping[str, Any]) -> Claim:
    """Returns the claim that a row of CLAIMED describes."""
    attempt = None
    if row["attempt_id"] is not None:
        attempt = Attempt(**{name: row[f"attempt_{name}"] for name in ATTEMPT_COLUMNS})
    return Claim(
        job=job_from_row(row),
        state=State(row["state"]),
        lease_no=row["lease_no"],
        wake_no=row["wake_no"],
        check_count=row["check_count"],
        admitted_seconds=row["admitted_seconds"],
        attempt=attempt,
        attempt_age_seconds=row["attempt_age_seconds"],
        claim_count=row["claim_count"],
        stalled_seconds=row["stalled_seconds"],
        last_error=row["last_error"],
    )
