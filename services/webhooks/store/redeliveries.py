"""Tasks that deliver many again, in PostgreSQL: each batch is one statement, so an interrupted task continues."""

from datetime import datetime

from sqlalchemy import text

from services.common.postgres.database import Pool, Query, fetch
from services.webhooks.domain import Owner, Redelivery
from services.webhooks.refusals import redelivery_not_found

_SHOWN = (
    "redelivery_id, endpoint_id, start_at, end_at, examined_count, redelivered_count, created_at, ended_at"
)
_ADD = Query(
    text(f"""
    INSERT INTO redeliveries (redelivery_id, account_id, environment, endpoint_id, start_at, end_at)
    VALUES (:redelivery_id, :account_id, :environment, :endpoint_id, :start_at, :end_at)
    ON CONFLICT (redelivery_id) DO UPDATE SET redelivery_id = excluded.redelivery_id
    RETURNING {_SHOWN}
    """)  # noqa: S608
)
_GET = Query(
    text(f"""
    SELECT {_SHOWN} FROM redeliveries
    WHERE redelivery_id = :redelivery_id AND account_id = :account_id AND environment = :environment
    """)  # noqa: S608
)
_ADVANCE = Query(text("SELECT advance_redelivery(:most) AS examined"))


class SqlRedeliveries:
    """Tasks that deliver many again."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(
        self,
        redelivery_id: str,
        *,
        owner: Owner,
        endpoint_id: str | None,
        start: datetime,
        end: datetime,
    ) -> Redelivery:
        """Starts a task, unless there is one with its id, and returns it."""
        [row] = await fetch(
            self._pool,
            _ADD,
            redelivery_id=redelivery_id,
            account_id=owner.account_id,
            environment=owner.environment,
            endpoint_id=endpoint_id,
            start_at=start,
            end_at=end,
        )
        return Redelivery(**row)

    async def get(self, redelivery_id: str, *, owner: Owner) -> Redelivery:
        """Returns how far the owner's task is. Refuses with REDELIVERY_NOT_FOUND."""
        rows = await fetch(
            self._pool,
            _GET,
            redelivery_id=redelivery_id,
            account_id=owner.account_id,
            environment=owner.environment,
        )
        if not rows:
            raise redelivery_not_found(redelivery_id)
        return Redelivery(**rows[0])

    async def advance(self, *, deliveries_max: int) -> int:
        """Processes a batch of the oldest running task. Returns how many deliveries it looked at."""
        [row] = await fetch(self._pool, _ADVANCE, most=deliveries_max)
        return int(row["examined"])
