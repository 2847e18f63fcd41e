"""What is to be delivered, in PostgreSQL: claims with a fence, and batches of verdicts in one commit.

The work is done by functions of the migrations, which also say who locks what in which order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from psycopg.rows import DictRow
from sqlalchemy import text

from services.common.postgres.batching import answer_apart, succeeded
from services.common.postgres.database import Connection, Pool, Query
from services.common.telemetry.tracing import is_recording
from services.webhooks.domain import (
    ACCOUNT_MAX,
    FAILING_DAYS_MAX,
    RECEIVER_MAX,
    Answer,
    Claimed,
    Delivery,
    FreeCapacity,
    Verdict,
)
from services.webhooks.store.membership import FRESH_SECONDS, SqlMembership

LEASE_SECONDS = 20
"""Longer than any attempt takes; a dispatcher that dies is noticed sooner, by its beats."""

_CLAIM = Query(
    text("""
    SELECT claimed.*, CASE WHEN 0 = (
        SELECT attempt_count FROM deliveries
        WHERE (deliveries.job_id, deliveries.target_id) = (claimed.job_id, claimed.target_id)
            AND deliveries.event_id = claimed.event_id
    ) THEN (
        SELECT occurred_at FROM events WHERE events.event_id = claimed.event_id
    ) END AS untried_since
    FROM dispatchers CROSS JOIN LATERAL claim_in_turn(
        dispatchers.owner, :most, :lease, :receiver_max, :account_max,
        CAST(:receiver_ids AS text[]), CAST(:receiver_rooms AS integer[]),
        CAST(:account_ids AS text[]), CAST(:account_rooms AS integer[])
    ) AS claimed
    WHERE dispatchers.owner = :owner AND beat_at > now() - CAST(:fresh AS interval)
    """)
)
# A dispatcher that makes no spans need not know. Planned anew each time, for as many heads as there are.
_TRACES = Query(
    text("""
    SELECT traced.job_id, traced.target_id, traceparent
    FROM unnest(CAST(:job_ids AS text[]), CAST(:target_ids AS text[])) AS claimed (job_id, target_id)
    CROSS JOIN LATERAL (
        SELECT * FROM heads
        WHERE heads.job_id = claimed.job_id AND heads.target_id = claimed.target_id AND traceparent IS NOT NULL
        LIMIT 1
    ) AS traced
    """)
)
_RECORD = Query(
    text("""
    SELECT * FROM record_attempts(
        CAST(:job_ids AS text[]), CAST(:target_ids AS text[]), CAST(:lease_nos AS bigint[]),
        CAST(:outcomes AS text[]), CAST(:healths AS text[]), CAST(:waits AS interval[]),
        CAST(:started AS timestamptz[]), CAST(:latencies AS integer[]), CAST(:statuses AS integer[]),
        CAST(:errors AS text[]), CAST(:excerpts AS bytea[]), :failing_max, :lease
    )
    """)
)


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What recording a batch of verdicts did."""

    stale: Sequence[Verdict]
    """Verdicts that changed nothing: another dispatcher has taken the delivery since, or they cannot be recorded,
    which is logged. What was delivered is then delivered again when its lease ends."""
    due_count: int
    """How many next events of the same jobs became due."""
    disabled_count: int
    """How many of them ended up at an endpoint that was disabled for it."""


class SqlDeliveries:
    """Fulfils Deliveries, for one dispatcher.

    Nothing is claimed by a dispatcher that has not just beaten: what is leased always has an owner whom the others see
    alive or gone.
    """

    def __init__(self, pool: Pool, membership: SqlMembership) -> None:
        self._pool = pool
        self._membership = membership

    async def claim(self, *, deliveries_max: int, rooms: FreeCapacity) -> Claimed:
        """Leases due deliveries that no dispatcher has, within the given capacity: accounts take turns."""
        bound = _claim_parameters(await self._membership.owner(), deliveries_max, rooms)
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_CLAIM.sql, bound, binary=True)
            rows = await cursor.fetchall()
            # A claim that found nothing says so in a row without a delivery, or in none.
            cuts = [row.pop("is_cut") for row in rows]
            found = [row for row in rows if row["job_id"]]
            traces = await _traces(connection, found) if found and is_recording() else {}
        deliveries = [
            Delivery(**row, traceparent=traces.get((row["job_id"], row["target_id"]))) for row in found
        ]
        return Claimed(deliveries=deliveries, is_cut=any(cuts))

    async def record(self, verdicts: Sequence[Verdict]) -> Recorded:
        """Ends leases with what came of them, in one commit."""
        rows = [
            row
            for row in succeeded(
                await answer_apart(
                    self._record,
                    verdicts,
                    name="record_attempts",
                    name_of=lambda verdict: verdict.attempt.delivery.event_id,
                )
            )
            if row is not None
        ]
        recorded = {row["lease_no"] for row in rows}
        return Recorded(
            stale=[each for each in verdicts if each.attempt.delivery.lease_no not in recorded],
            due_count=sum(row["is_due"] for row in rows),
            disabled_count=sum(row["is_disabled"] for row in rows),
        )

    async def _record(self, verdicts: Sequence[Verdict]) -> Sequence[DictRow | None]:
        """Returns what was recorded for each, or None if another dispatcher has taken the delivery since."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_RECORD.sql, _record_parameters(verdicts))
            rows = {row["lease_no"]: row for row in await cursor.fetchall()}
        return [rows.get(verdict.attempt.delivery.lease_no) for verdict in verdicts]


async def _traces(connection: Connection, rows: Sequence[DictRow]) -> dict[tuple[str, str], str]:
    """Returns the `traceparent` of the claimed deliveries that have one, by job and target."""
    bound = _TRACES.bind(
        job_ids=[row["job_id"] for row in rows], target_ids=[row["target_id"] for row in rows]
    )
    cursor = await connection.execute(_TRACES.sql, bound, prepare=False)
    return {(row["job_id"], row["target_id"]): row["traceparent"] for row in await cursor.fetchall()}


def _claim_parameters(owner: int, deliveries_max: int, rooms: FreeCapacity) -> dict[str, Any]:
    return _CLAIM.bind(
        owner=owner,
        fresh=timedelta(seconds=FRESH_SECONDS),
        most=deliveries_max,
        lease=timedelta(seconds=LEASE_SECONDS),
        receiver_max=RECEIVER_MAX,
        account_max=ACCOUNT_MAX,
        receiver_ids=list(rooms.receivers),
        receiver_rooms=list(rooms.receivers.values()),
        account_ids=list(rooms.accounts),
        account_rooms=list(rooms.accounts.values()),
    )


def _record_parameters(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    attempts = [verdict.attempt for verdict in verdicts]
    deliveries = [attempt.delivery for attempt in attempts]
    answers = [attempt.result if isinstance(attempt.result, Answer) else None for attempt in attempts]
    return _RECORD.bind(
        job_ids=[delivery.job_id for delivery in deliveries],
        target_ids=[delivery.target_id for delivery in deliveries],
        lease_nos=[delivery.lease_no for delivery in deliveries],
        outcomes=[verdict.outcome.value for verdict in verdicts],
        healths=[verdict.health.value for verdict in verdicts],
        waits=[timedelta(seconds=verdict.wait_seconds) for verdict in verdicts],
        started=[attempt.started_at for attempt in attempts],
        latencies=[attempt.latency_ms for attempt in attempts],
        statuses=[answer and answer.status for answer in answers],
        errors=[None if isinstance(each.result, Answer) else each.result.error for each in attempts],
        excerpts=[answer and answer.excerpt for answer in answers],
        failing_max=timedelta(days=FAILING_DAYS_MAX),
        lease=timedelta(seconds=LEASE_SECONDS),
    )
