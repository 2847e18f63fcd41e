"""Disabled endpoints, in PostgreSQL: who is told of them, and what becomes of what waits for them."""

from sqlalchemy import bindparam, func, select, text, update

from services.common.audit.store import audit
from services.common.postgres.database import Pool, Query, fetch
from services.webhooks.domain import DisabledEndpoint, Event
from services.webhooks.store.events import store_events
from services.webhooks.tables import endpoints

_UNANNOUNCED = Query(
    select(
        endpoints.c.endpoint_id,
        endpoints.c.account_id,
        endpoints.c.environment,
        endpoints.c.contract,
        endpoints.c.url,
        endpoints.c.disabled_reason.label("reason"),
        endpoints.c.updated_at.label("disabled_at"),
        select(func.count())
        .where(audit.c.subject_id == endpoints.c.endpoint_id, audit.c.action == "endpoint.disable")
        .scalar_subquery()
        .label("disabled_count"),
    )
    .where(endpoints.c.notice_due)
    .limit(bindparam("most"))
)
_ANNOUNCED = Query(
    update(endpoints)
    .where(endpoints.c.endpoint_id == bindparam("of_endpoint_id"), endpoints.c.notice_due)
    .values(notice_due=False)
)
_GIVE_UP = Query(text("SELECT close_disabled(:most) AS closed_count"))


class SqlDisabledEndpoints:
    """Endpoints that receive nothing any more."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def unannounced(self, *, endpoints_max: int) -> list[DisabledEndpoint]:
        """Returns those whose disabling the account has not been told."""
        return [DisabledEndpoint(**row) for row in await fetch(self._pool, _UNANNOUNCED, most=endpoints_max)]

    async def announce(self, event: Event, *, endpoint_id: str) -> None:
        """Stores the event that tells of an endpoint, unless that is done, in one commit."""
        async with self._pool.connection() as connection, connection.transaction():
            marked = await connection.execute(_ANNOUNCED.sql, _ANNOUNCED.bind(of_endpoint_id=endpoint_id))
            if marked.rowcount:
                await store_events(connection, [event])

    async def give_up_waiting(self, *, heads_max: int) -> int:
        """Dead-letters what still waits for one. Returns for how many jobs; 0 when nothing is left."""
        [row] = await fetch(self._pool, _GIVE_UP, most=heads_max)
        return int(row["closed_count"])
