"""Events that the webhooks service refused, for operators, in SQL."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from services.common.audit.note import AuditNote
from services.common.postgres.database import Pool, Query, fetch


@dataclass(frozen=True, kw_only=True)
class RefusedEvent:
    """An event that the webhooks service refused, as operators see it."""

    event_id: str
    job_id: str
    account_id: str
    environment: str
    type: str
    occurred_at: datetime
    due_at: datetime
    """When it is offered again."""
    refusal: str


RETRY_ACTION = "event.retry"
RETRIED_MAX = 1_000
"""So many events at the most does one call make due."""
REFUSED_MAX = 10_000
"""As far as they are counted."""

_OLDEST = Query(
    text("""
    SELECT event_id, job_id, account_id, environment, type, occurred_at, due_at, refusal FROM outbox
    WHERE refusal IS NOT NULL
        AND (occurred_at, event_id) > (CAST(:after_moment AS timestamptz), CAST(:after_id AS text))
    ORDER BY occurred_at, event_id LIMIT :most
    """)
)
_COUNT = Query(
    text(f"""
    SELECT count(*) AS events
    FROM (SELECT FROM outbox WHERE refusal IS NOT NULL LIMIT {REFUSED_MAX}) AS refused
    """)  # noqa: S608
)
# The refusal stays until the event is taken over: it is what the later ones of its job wait for.
_RETRY = Query(
    text(f"""
    WITH known AS (
        SELECT event_id FROM outbox
        WHERE refusal IS NOT NULL AND due_at > now() AND (CAST(:event_id AS text) IS NULL OR event_id = :event_id)
        ORDER BY occurred_at, event_id LIMIT {RETRIED_MAX} FOR UPDATE SKIP LOCKED
    ), moved AS (
        UPDATE outbox SET due_at = now() FROM known WHERE outbox.event_id = known.event_id
        RETURNING outbox.event_id, job_id, refusal
    ), noted AS (
        INSERT INTO audit (actor, action, subject_id, reason, details)
        SELECT :actor, :action, event_id, :reason, jsonb_build_object('job_id', job_id, 'refusal', refusal) FROM moved
    )
    SELECT count(*) AS events FROM moved
    """)  # noqa: S608
)
_WAITS = Query(text("SELECT FROM outbox WHERE event_id = :event_id AND refusal IS NOT NULL"))


class SqlRefusedEvents:
    """Events that the webhooks service refused, for operators."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def oldest(self, *, after: tuple[datetime, str], limit: int) -> list[RefusedEvent]:
        """Returns refused events, oldest first: those that follow `after`, the moment of an event and its id."""
        rows = await fetch(self._pool, _OLDEST, after_moment=after[0], after_id=after[1], most=limit)
        return [RefusedEvent(**row) for row in rows]

    async def count(self) -> int:
        """Returns how many there are, REFUSED_MAX at the most."""
        [row] = await fetch(self._pool, _COUNT)
        return int(row["events"])

    async def retry(self, event_id: str | None, *, note: AuditNote) -> int:
        """Makes one event due, or the oldest RETRIED_MAX, each with an audit entry in the same commit.

        Returns how many were not due.
        """
        [row] = await fetch(self._pool, _RETRY, event_id=event_id, action=RETRY_ACTION, **vars(note))
        return int(row["events"])

    async def waits(self, event_id: str) -> bool:
        """Returns whether an event was refused and is not handed over yet."""
        return bool(await fetch(self._pool, _WAITS, event_id=event_id))
