"""Which due jobs a worker gets, in SQL: accounts take turns before anything is cut, live before test."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import text

from services.common.postgres.database import Query
from services.jobs.domain.requests import Owner
from services.jobs.store.queue.claims import CLAIMED, TAKEN_COLUMNS

WINDOW = 100
"""Jobs that are looked at, the longest due first. Only when there are so many are other accounts sought behind them."""
TURNS_MAX = 200
"""Accounts that are sought in one claim; the next goes on where it ended."""
JOBS_EACH = 4
"""Of an account that was sought."""

_DUE = "awaits_fetch = :fetching AND due_at <= now() AND lease_until <= now()"

# A claim is counted before anything is done, so that it counts when its worker dies. From the sixth in a row on
# the job is not due for a while, whatever becomes of this worker.
CLAIM = Query(
    text(f"""
    WITH RECURSIVE longest AS MATERIALIZED (
        SELECT job_id, account_id, environment, due_at FROM work
        WHERE {_DUE} ORDER BY due_at LIMIT :most_seen FOR UPDATE SKIP LOCKED
    ), turns AS (
        (
            SELECT environment, account_id, 1 AS number FROM work
            WHERE (SELECT count(*) FROM longest) = :most_seen AND awaits_fetch = :fetching
                AND (environment, account_id) > (:after_environment, :after_account)
            ORDER BY environment, account_id LIMIT 1
        )
        UNION ALL
        SELECT next.environment, next.account_id, number + 1
        FROM turns CROSS JOIN LATERAL (
            SELECT environment, account_id FROM work
            WHERE awaits_fetch = :fetching
                AND (work.environment, work.account_id) > (turns.environment, turns.account_id)
            ORDER BY environment, account_id LIMIT 1
        ) AS next
        WHERE number < {TURNS_MAX}
    ), others AS MATERIALIZED (
        SELECT first.job_id, first.account_id, first.environment, first.due_at
        FROM turns CROSS JOIN LATERAL (
            SELECT job_id, account_id, environment, due_at FROM work
            WHERE {_DUE} AND work.environment = turns.environment AND work.account_id = turns.account_id
            ORDER BY environment, account_id, due_at LIMIT {JOBS_EACH} FOR UPDATE SKIP LOCKED
        ) AS first
    ), placed AS (
        SELECT job_id, environment, due_at, coalesce(busy.jobs, 0)
            + row_number() OVER (PARTITION BY account_id, environment ORDER BY due_at) AS place
        FROM (SELECT * FROM longest UNION SELECT * FROM others) AS due
        LEFT JOIN unnest(
            CAST(:busy_accounts AS text[]), CAST(:busy_environments AS text[]), CAST(:busy_jobs AS int[])
        ) AS busy (account_id, environment, jobs) USING (account_id, environment)
    ), chosen AS (
        SELECT job_id FROM placed WHERE place <= :share_max ORDER BY place, environment, due_at LIMIT :most
    ), taken AS (
        UPDATE work SET lease_no = lease_no + 1, lease_until = now() + make_interval(secs => :lease_seconds),
            claim_count = claim_count + 1,
            stalled_since = CASE WHEN claim_count > 0 THEN coalesce(stalled_since, now()) ELSE stalled_since END,
            due_at = CASE WHEN claim_count < :claims_max THEN due_at
                ELSE now() + make_interval(secs => :aside_seconds) END
        FROM chosen WHERE work.job_id = chosen.job_id
        RETURNING {TAKEN_COLUMNS}
    )
    SELECT claimed.*, last.environment AS turn_environment, last.account_id AS turn_account
    FROM ({CLAIMED}) AS claimed
    LEFT JOIN (SELECT environment, account_id FROM turns WHERE number = {TURNS_MAX}) AS last ON true
    """)  # noqa: S608
)


class Turns:
    """Where the next claim of each lane goes on to seek accounts."""

    def __init__(self) -> None:
        self._last: dict[bool, tuple[str, str]] = {}

    def bound(
        self, *, fetching: bool, busy: Mapping[Owner, int], share_max: int, most: int, **values: Any
    ) -> Any:
        """Returns the parameters of CLAIM."""
        environment, account = self._last.get(fetching, ("", ""))
        return CLAIM.bind(
            fetching=fetching,
            most=most,
            most_seen=max(WINDOW, most),
            share_max=share_max,
            busy_accounts=[owner.account_id for owner in busy],
            busy_environments=[owner.environment for owner in busy],
            busy_jobs=list(busy.values()),
            after_environment=environment,
            after_account=account,
            **values,
        )

    def note(self, rows: list[dict[str, Any]], *, fetching: bool) -> None:
        """Remembers where the seeking ended; behind the last account it begins anew."""
        found = rows[0] if rows else {"turn_environment": None, "turn_account": None}
        self._last[fetching] = (found["turn_environment"] or "", found["turn_account"] or "")
