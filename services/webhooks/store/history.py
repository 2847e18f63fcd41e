"""Deliveries as their owners see and repeat them, in PostgreSQL. Every list is an index range of bounded length."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text

from services.common.postgres.database import Pool, Query, fetch, fetch_within
from services.webhooks.domain import (
    DeliveryFilter,
    DeliveryKey,
    DeliveryStatus,
    Event,
    ListedDelivery,
    Owner,
    PastAttempt,
)
from services.webhooks.refusals import delivery_not_found

_SHOWN = """
    SELECT deliveries.job_id, deliveries.target_id, deliveries.sequence, deliveries.event_id, events.type,
        deliveries.target_url, coalesce(deliveries.outcome, 'pending') AS status, deliveries.attempt_count,
        CASE WHEN lease_no IS NULL THEN due_at END AS next_attempt_at, deliveries.accepted_at, deliveries.ended_at
    FROM {deliveries} JOIN events USING (event_id)
    LEFT JOIN heads ON heads.job_id = deliveries.job_id AND heads.target_id = deliveries.target_id
        AND heads.next_sequence = deliveries.sequence AND deliveries.outcome IS NULL
"""
_OF_OWNER = "deliveries.account_id = :account_id AND deliveries.environment = :environment"
_THIS = """deliveries.job_id = :job_id AND deliveries.target_id = :target_id AND deliveries.sequence = :sequence"""
_CONDITIONS = {
    # The index leaves callbacks out, and a plan for all parameters must know that it serves.
    "endpoint_id": "target_id = :endpoint_id AND target_id <> 'callback'",
    "job_id": "job_id = :job_id",
    "start": "accepted_at >= :start",
    "end": "accepted_at < CAST(:end AS timestamptz) + interval '1 millisecond'",
    "after_number": "(accepted_at, number) < (CAST(:after_at AS timestamptz), CAST(:after_number AS bigint))",
}
_NEWEST = "ORDER BY accepted_at DESC, number DESC LIMIT :most"
_PLACE = Query(
    text(f"""
    SELECT accepted_at AS after_at, number AS after_number FROM deliveries WHERE {_THIS} AND {_OF_OWNER}
    """)  # noqa: S608
)
_GET = Query(text(f"{_SHOWN.format(deliveries='deliveries')} WHERE {_THIS} AND {_OF_OWNER}"))
_ATTEMPTS = Query(
    text("""
    SELECT number, started_at, latency_ms, status, error, excerpt FROM attempts
    WHERE job_id = :job_id AND target_id = :target_id AND sequence = :sequence
    ORDER BY number DESC LIMIT :most
    """)
)
_REOPEN = Query(
    text(f"""
    UPDATE deliveries SET outcome = NULL, ended_at = NULL
    WHERE {_THIS} AND {_OF_OWNER} AND outcome IS NOT NULL
        AND (target_id = 'callback'
            OR EXISTS (SELECT FROM endpoints WHERE endpoint_id = target_id AND is_enabled))
    """)  # noqa: S608
)
_OPEN_HEADS = Query(
    text("SELECT open_heads(ARRAY[:job_id], ARRAY[:target_id], ARRAY[CAST(:sequence AS integer)])")
)
_ADD_EVENT = Query(
    text("""
    INSERT INTO events (event_id, job_id, account_id, environment, contract, type, sequence, body, occurred_at)
    VALUES (:event_id, :job_id, :account_id, :environment, :contract, :type, :sequence, :body, :occurred_at)
    """)
)
_ADD_DELIVERY = Query(
    text("""
    INSERT INTO deliveries (job_id, target_id, sequence, event_id, target_url, account_id, environment)
    VALUES (:job_id, :target_id, :sequence, :event_id, :target_url, :account_id, :environment)
    """)
)


class SqlHistory:
    """Deliveries as their owners see and repeat them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._pages: dict[tuple[Sequence[str], Sequence[DeliveryStatus]], Query] = {}

    async def page(
        self, *, owner: Owner, wanted: DeliveryFilter, after: DeliveryKey | None, limit: int
    ) -> list[ListedDelivery]:
        """Returns the newest deliveries that fit, those older than `after` only."""
        of_owner = {"account_id": owner.account_id, "environment": owner.environment}
        values = {
            name: value for name, value in vars(wanted).items() if value is not None and name != "status"
        }
        if after is not None:
            places = await fetch(self._pool, _PLACE, **vars(after), **of_owner)
            if not places:
                return []
            values |= places[0]
        statuses = tuple(DeliveryStatus) if wanted.status is None else (wanted.status,)
        query = self._page(tuple(name for name in _CONDITIONS if name in values), statuses)
        return [_delivery(row) for row in await fetch(self._pool, query, **of_owner, **values, most=limit)]

    async def get(self, key: DeliveryKey, *, owner: Owner) -> ListedDelivery:
        """Returns the owner's delivery. Refuses with DELIVERY_NOT_FOUND."""
        rows = await fetch(
            self._pool, _GET, **vars(key), account_id=owner.account_id, environment=owner.environment
        )
        if not rows:
            raise delivery_not_found()
        return _delivery(rows[0])

    async def get_with_attempts(
        self, key: DeliveryKey, *, owner: Owner, attempts_max: int
    ) -> tuple[ListedDelivery, list[PastAttempt]]:
        """Returns the owner's delivery and its latest attempts, oldest first, as they were at one moment.

        Refuses with DELIVERY_NOT_FOUND.
        """
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            found = await fetch_within(
                connection, _GET, **vars(key), account_id=owner.account_id, environment=owner.environment
            )
            attempts = await fetch_within(connection, _ATTEMPTS, **vars(key), most=attempts_max)
        if not found:
            raise delivery_not_found()
        return _delivery(found[0]), [PastAttempt(**row) for row in reversed(attempts)]

    async def reopen(self, key: DeliveryKey, *, owner: Owner) -> bool:
        """Makes an ended delivery due with a new schedule. Returns whether it had ended and its endpoint is enabled."""
        bound = _REOPEN.bind(**vars(key), account_id=owner.account_id, environment=owner.environment)
        async with self._pool.connection() as connection, connection.transaction():
            if not (await connection.execute(_REOPEN.sql, bound)).rowcount:
                return False
            await connection.execute(_OPEN_HEADS.sql, _OPEN_HEADS.bind(**vars(key)))
        return True

    async def send_test(self, event: Event, *, endpoint_id: str) -> None:
        """Stores an event for one endpoint alone and makes it due."""
        values = {name: value for name, value in vars(event).items() if name != "target_url"}
        of_event = ("job_id", "sequence", "event_id", "target_url", "account_id", "environment")
        delivery = {name: getattr(event, name) for name in of_event}
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute(_ADD_EVENT.sql, _ADD_EVENT.bind(**values))
            await connection.execute(_ADD_DELIVERY.sql, _ADD_DELIVERY.bind(**delivery, target_id=endpoint_id))
            head = {"job_id": event.job_id, "target_id": endpoint_id, "sequence": event.sequence}
            await connection.execute(_OPEN_HEADS.sql, _OPEN_HEADS.bind(**head))

    def _page(self, names: Sequence[str], statuses: Sequence[DeliveryStatus]) -> Query:
        # As many forms as there are combinations of filters: 128.
        if (names, statuses) not in self._pages:
            self._pages[names, statuses] = Query(text(_page_sql(names, statuses)))
        return self._pages[names, statuses]


def _page_sql(names: Sequence[str], statuses: Sequence[DeliveryStatus]) -> str:
    # The newest of each status are one range of an index; those of all are the newest among them.
    conditions = " AND ".join((_OF_OWNER, *(_CONDITIONS[name] for name in names)))
    ranges = (
        f"(SELECT * FROM deliveries WHERE {conditions} AND coalesce(outcome, 'pending') = '{status}' {_NEWEST})"  # noqa: S608
        for status in statuses
    )
    chosen = " UNION ALL ".join(ranges)
    return _SHOWN.format(deliveries=f"({chosen}) AS deliveries") + _NEWEST


def _delivery(row: dict[str, Any]) -> ListedDelivery:
    return ListedDelivery(
        key=DeliveryKey(job_id=row["job_id"], sequence=row["sequence"], target_id=row["target_id"]),
        event_id=row["event_id"],
        type=row["type"],
        url=row["target_url"],
        status=DeliveryStatus(row["status"]),
        attempt_count=row["attempt_count"],
        next_attempt_at=row["next_attempt_at"],
        accepted_at=row["accepted_at"],
        ended_at=row["ended_at"],
    )
