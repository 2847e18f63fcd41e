"""What is to be delivered, in PostgreSQL: claims with a fence, and batches of judgements in one commit.

These statements are written as text because each is several changes in one: read top to bottom, as they run.
Whoever waits for rows of `heads` locks them in the order of their key, so nobody waits in a circle.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import psycopg
from sqlalchemy import func, select, text

from services.common.database import Connection, Pool, Query
from services.webhooks.domain import Answer, Delivery, Judgement
from services.webhooks.ports import Recorded

LEASE_SECONDS = 20
"""Longer than any attempt takes; a dispatcher that dies is noticed sooner, by its lock."""
REOPENED_MAX = 1_000
OWNER_LOCK_CLASS = 7_266
"""First number of the advisory locks that dispatchers hold while they live; the second is the owner's own."""

_ENTER = Query(
    text("""
    WITH mine AS MATERIALIZED (SELECT CAST(nextval('owner_numbers') AS integer) AS owner)
    SELECT owner, pg_advisory_lock(:lock_class, owner) FROM mine
    """)
)
_LEAVE = Query(select(func.pg_advisory_unlock_all()))
# The delivery is found before its head is locked: a head that moved on in between no longer fits it, and is left
# for the next claim instead of being leased with an event that this statement cannot see.
_CLAIM = Query(
    text("""
    WITH due AS (
        SELECT heads.job_id, heads.target_id, event_id, target_url
        FROM heads JOIN deliveries ON deliveries.job_id = heads.job_id
            AND deliveries.target_id = heads.target_id AND deliveries.sequence = heads.next_sequence
        WHERE due_at <= now() ORDER BY due_at LIMIT :most
        FOR UPDATE OF heads SKIP LOCKED
    ), taken AS (
        UPDATE heads SET lease_no = nextval('lease_numbers'), owner = :owner, due_at = now() + :lease
        FROM due WHERE heads.job_id = due.job_id AND heads.target_id = due.target_id
        RETURNING due.*, lease_no, attempt_count, postponement_count
    )
    SELECT taken.*, contract, type, body, sealed_secret
    FROM taken JOIN events USING (event_id) LEFT JOIN signing_secrets USING (account_id)
    """)
)

_LEASES = "unnest(CAST(:job_ids AS text[]), CAST(:target_ids AS text[]), CAST(:lease_nos AS bigint[]))"
# A statement of its own, so that the next one sees events that were appended while this one waited.
_LOCK = Query(
    text(f"""
    SELECT 1 FROM heads JOIN {_LEASES} AS ended (job_id, target_id, lease_no) USING (job_id, target_id, lease_no)
    ORDER BY job_id, target_id
    FOR UPDATE OF heads
    """)  # noqa: S608
)
_RECORD = Query(
    text("""
    WITH ended AS (
        SELECT _.*, next_sequence AS sequence, attempt_count, postponement_count,
            outcome IN ('delivered', 'dead_lettered') AS is_through
        FROM unnest(
            CAST(:job_ids AS text[]), CAST(:target_ids AS text[]), CAST(:lease_nos AS bigint[]),
            CAST(:outcomes AS text[]), CAST(:waits AS interval[]), CAST(:started AS timestamptz[]),
            CAST(:latencies AS integer[]), CAST(:statuses AS integer[]), CAST(:errors AS text[]),
            CAST(:excerpts AS bytea[])
        ) AS _ (job_id, target_id, lease_no, outcome, wait, started_at, latency_ms, status, error, excerpt)
        JOIN heads USING (job_id, target_id, lease_no)
    ), tried AS (
        INSERT INTO attempts
            (job_id, target_id, sequence, number, started_at, latency_ms, status, error, excerpt)
        SELECT job_id, target_id, sequence, attempt_count + 1, started_at, latency_ms, status, error, excerpt
        FROM ended WHERE outcome <> 'postponed'
    ), closed AS (
        UPDATE deliveries SET outcome = ended.outcome, ended_at = now()
        FROM ended
        WHERE is_through AND deliveries.job_id = ended.job_id AND deliveries.target_id = ended.target_id
            AND deliveries.sequence = ended.sequence
    ), following AS (
        SELECT ended.*, CASE WHEN is_through THEN (
            SELECT min(later.sequence) FROM deliveries AS later
            WHERE later.job_id = ended.job_id AND later.target_id = ended.target_id
                AND later.outcome IS NULL AND later.sequence <> ended.sequence
        ) ELSE sequence END AS next_sequence
        FROM ended
    ), drained AS (
        DELETE FROM heads USING following
        WHERE following.next_sequence IS NULL
            AND heads.job_id = following.job_id AND heads.target_id = following.target_id
    ), advanced AS (
        UPDATE heads SET next_sequence = following.next_sequence, due_at = now() + wait,
            lease_no = NULL, owner = NULL,
            attempt_count = CASE
                WHEN is_through THEN 0
                ELSE following.attempt_count + CAST(following.outcome = 'failed' AS integer) END,
            postponement_count = CASE
                WHEN following.outcome = 'postponed' THEN following.postponement_count + 1 ELSE 0 END
        FROM following
        WHERE following.next_sequence IS NOT NULL
            AND heads.job_id = following.job_id AND heads.target_id = following.target_id
    )
    SELECT lease_no, is_through AND next_sequence IS NOT NULL AS is_due FROM following
    """)
)

_REOPEN = Query(
    text("""
    WITH gone AS (
        SELECT DISTINCT owner FROM heads
        WHERE owner IS NOT NULL AND NOT EXISTS (
            SELECT FROM pg_locks
            WHERE locktype = 'advisory' AND granted AND objsubid = 2
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND classid = CAST(:lock_class AS oid) AND objid = CAST(heads.owner AS oid)
        )
    ), abandoned AS (
        SELECT job_id, target_id FROM heads WHERE owner IN (SELECT owner FROM gone)
        ORDER BY job_id, target_id LIMIT :most
        FOR UPDATE SKIP LOCKED
    )
    UPDATE heads SET owner = NULL, due_at = now()
    FROM abandoned WHERE heads.job_id = abandoned.job_id AND heads.target_id = abandoned.target_id
    """)
)


class SqlDeliveries:
    """Fulfils Deliveries, for one dispatcher.

    Claims run on a connection that also holds the owner's lock. The lock goes with the connection, and without
    it nothing can be claimed: what is leased always has an owner whom the others can see alive or gone.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._claims: tuple[Connection, int] | None = None

    async def claim(self, *, deliveries_max: int) -> list[Delivery]:
        """See Deliveries."""
        if self._claims is None:
            self._claims = await self._enter()
        connection, owner = self._claims
        bound = _CLAIM.bind(most=deliveries_max, owner=owner, lease=timedelta(seconds=LEASE_SECONDS))
        try:
            cursor = await connection.execute(_CLAIM.sql, bound, binary=True)
            return [Delivery(**row) for row in await cursor.fetchall()]
        except psycopg.Error:
            await self.leave()
            raise

    async def leave(self) -> None:
        """See Deliveries."""
        if self._claims is not None:
            connection, _ = self._claims
            self._claims = None
            await self._give_back(connection)

    async def record(self, judgements: Sequence[Judgement]) -> Recorded:
        """See Deliveries."""
        leases = _leases(judgements)
        results = _RECORD.bind(**leases, **_results(judgements))
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute(_LOCK.sql, _LOCK.bind(**leases))
            rows = await (await connection.execute(_RECORD.sql, results)).fetchall()
        recorded = {row["lease_no"] for row in rows}
        return Recorded(
            stale=[each for each in judgements if each.attempt.delivery.lease_no not in recorded],
            due_count=sum(row["is_due"] for row in rows),
        )

    async def reopen_abandoned(self) -> int:
        """See Deliveries."""
        async with self._pool.connection() as connection:
            bound = _REOPEN.bind(lock_class=OWNER_LOCK_CLASS, most=REOPENED_MAX)
            return (await connection.execute(_REOPEN.sql, bound)).rowcount

    async def _enter(self) -> tuple[Connection, int]:
        connection = await self._pool.getconn()
        try:
            cursor = await connection.execute(_ENTER.sql, _ENTER.bind(lock_class=OWNER_LOCK_CLASS))
            [row] = await cursor.fetchall()
        except BaseException:
            await self._give_back(connection)
            raise
        return connection, int(row["owner"])

    async def _give_back(self, connection: Connection) -> None:
        try:
            await connection.execute(_LEAVE.sql)
        except psycopg.Error:
            await connection.close()
        await self._pool.putconn(connection)


def _leases(judgements: Sequence[Judgement]) -> dict[str, Any]:
    deliveries = [judgement.attempt.delivery for judgement in judgements]
    return {
        "job_ids": [delivery.job_id for delivery in deliveries],
        "target_ids": [delivery.target_id for delivery in deliveries],
        "lease_nos": [delivery.lease_no for delivery in deliveries],
    }


def _results(judgements: Sequence[Judgement]) -> dict[str, Any]:
    attempts = [judgement.attempt for judgement in judgements]
    answers = [attempt.result if isinstance(attempt.result, Answer) else None for attempt in attempts]
    return {
        "outcomes": [judgement.outcome.value for judgement in judgements],
        "waits": [timedelta(seconds=judgement.wait_seconds) for judgement in judgements],
        "started": [attempt.started_at for attempt in attempts],
        "latencies": [attempt.latency_ms for attempt in attempts],
        "statuses": [answer and answer.status for answer in answers],
        "errors": [None if isinstance(each.result, Answer) else each.result.error for each in attempts],
        "excerpts": [answer and answer.excerpt for answer in answers],
    }
