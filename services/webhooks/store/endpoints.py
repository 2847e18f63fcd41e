"""Endpoints as their owners manage them, in PostgreSQL; secrets are encrypted with Fernet (github.com/fernet/spec)."""

from typing import Any

from cryptography.fernet import Fernet, MultiFernet
from sqlalchemy import bindparam, delete, func, literal_column, select, text, update
from sqlalchemy.dialects.postgresql import insert

from services.common.postgres.database import Pool, Query, fetch, fetch_within
from services.webhooks.domain import ENDPOINTS_MAX, OVERLAP_HOURS, Endpoint, EndpointChange, Owner
from services.webhooks.refusals import endpoint_limit_reached, endpoint_not_found, endpoint_not_rotating
from services.webhooks.tables import endpoints

_SHOWN = (
    endpoints.c.endpoint_id,
    endpoints.c.url,
    endpoints.c.events,
    endpoints.c.description,
    endpoints.c.is_enabled,
    endpoints.c.disabled_reason,
    endpoints.c.next_sealed_secret.is_not(None).label("is_rotating"),
    endpoints.c.created_at,
    endpoints.c.updated_at,
)
_OF_OWNER = (
    endpoints.c.account_id == bindparam("of_account"),
    endpoints.c.environment == bindparam("of_environment"),
)
_THIS = (endpoints.c.endpoint_id == bindparam("this_id"), *_OF_OWNER)
# Two that count at the same time would both find room.
_LOCK = Query(
    text("SELECT pg_advisory_xact_lock(hashtextextended('endpoints ' || :of_account || :of_environment, 0))")
)
_OTHERS = Query(
    select(func.count().label("count"))
    .select_from(endpoints)
    .where(*_OF_OWNER, endpoints.c.endpoint_id != bindparam("this_id"))
)
_NEW_COLUMNS = (
    "endpoint_id", "account_id", "environment", "contract", "url", "events", "description", "is_enabled",
    "sealed_secret",
)  # fmt: skip
_ADD = Query(
    insert(endpoints)
    .values({name: bindparam(name) for name in _NEW_COLUMNS})
    .on_conflict_do_update(
        index_elements=["endpoint_id"],
        # Changes nothing, but returns what there is.
        set_={"endpoint_id": endpoints.c.endpoint_id},
    )
    .returning(*_SHOWN, endpoints.c.sealed_secret)
)
_ALL = Query(
    select(*_SHOWN)
    .where(*_OF_OWNER)
    .order_by(endpoints.c.endpoint_id)
    .limit(literal_column(str(ENDPOINTS_MAX)))
)
_GET = Query(select(*_SHOWN).where(*_THIS))
_DELETE = Query(delete(endpoints).where(*_THIS))
_CHANGE = Query(
    text("""
    UPDATE endpoints SET
        url = coalesce(:url, url), events = coalesce(:events, events),
        description = coalesce(:description, description), is_enabled = coalesce(:is_enabled, is_enabled),
        disabled_reason = CASE WHEN :is_enabled THEN NULL ELSE disabled_reason END,
        notice_due = notice_due AND :is_enabled IS DISTINCT FROM true,
        failing_since = CASE WHEN :is_enabled AND NOT is_enabled THEN NULL ELSE failing_since END,
        updated_at = now()
    WHERE endpoint_id = :this_id AND account_id = :of_account AND environment = :of_environment
    RETURNING endpoint_id, url, events, description, is_enabled, disabled_reason,
        next_sealed_secret IS NOT NULL AS is_rotating, created_at, updated_at
    """)
)
_ROTATE = Query(
    update(endpoints)
    .where(*_THIS)
    .values(next_sealed_secret=bindparam("sealed"), updated_at=func.now())
    .returning(*_SHOWN)
)
_CONFIRM = Query(
    text(f"""
    UPDATE endpoints SET
        previous_sealed_secret = CASE WHEN next_sealed_secret IS NULL
            THEN previous_sealed_secret ELSE sealed_secret END,
        previous_until = CASE WHEN next_sealed_secret IS NULL
            THEN previous_until ELSE now() + interval '{OVERLAP_HOURS} hours' END,
        sealed_secret = coalesce(next_sealed_secret, sealed_secret),
        updated_at = CASE WHEN next_sealed_secret IS NULL THEN updated_at ELSE now() END,
        next_sealed_secret = NULL
    WHERE endpoint_id = :this_id AND account_id = :of_account AND environment = :of_environment
        AND (next_sealed_secret IS NOT NULL OR previous_until > now())
    RETURNING endpoint_id, url, events, description, is_enabled, disabled_reason, false AS is_rotating,
        created_at, updated_at
    """)  # noqa: S608
)


class SqlEndpoints:
    """Endpoints as their owners manage them. Secrets are encrypted wherever they rest."""

    def __init__(self, pool: Pool, fernet: Fernet | MultiFernet) -> None:
        self._pool = pool
        self._fernet = fernet

    async def add(
        self, endpoint_id: str, *, owner: Owner, wanted: EndpointChange, secret: str
    ) -> tuple[Endpoint, str]:
        """Registers an endpoint, unless there is one with its id, and returns it with its secret.

        Refuses with ENDPOINT_LIMIT_REACHED when the owner has ENDPOINTS_MAX others already.
        """
        values = {
            **vars(owner),
            **vars(wanted),
            "events": list(wanted.events or ()),
            "endpoint_id": endpoint_id,
            "sealed_secret": self._fernet.encrypt(secret.encode()),
        }
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute(_LOCK.sql, _LOCK.bind(**_of(owner)))
            [others] = await fetch_within(connection, _OTHERS, this_id=endpoint_id, **_of(owner))
            if others["count"] >= ENDPOINTS_MAX:
                raise endpoint_limit_reached()
            [row] = await fetch_within(connection, _ADD, **values)
        secret = self._fernet.decrypt(row.pop("sealed_secret")).decode()
        return _endpoint(row), secret

    async def all_of(self, owner: Owner) -> list[Endpoint]:
        """Returns the owner's endpoints, oldest first."""
        return [_endpoint(row) for row in await fetch(self._pool, _ALL, **_of(owner))]

    async def get(self, endpoint_id: str, *, owner: Owner) -> Endpoint:
        """Returns the owner's endpoint. Refuses with ENDPOINT_NOT_FOUND."""
        return await self._one(_GET, endpoint_id, owner)

    async def change(self, endpoint_id: str, *, owner: Owner, change: EndpointChange) -> Endpoint:
        """Changes an endpoint. Enabling it makes it healthy. Refuses with ENDPOINT_NOT_FOUND."""
        events = None if change.events is None else list(change.events)
        return await self._one(_CHANGE, endpoint_id, owner, **{**vars(change), "events": events})

    async def delete(self, endpoint_id: str, *, owner: Owner) -> None:
        """Deletes an endpoint; what waits for it is given up. Refuses with ENDPOINT_NOT_FOUND."""
        async with self._pool.connection() as connection:
            bound = _DELETE.bind(this_id=endpoint_id, **_of(owner))
            if not (await connection.execute(_DELETE.sql, bound)).rowcount:
                raise endpoint_not_found(endpoint_id)

    async def rotate(self, endpoint_id: str, *, owner: Owner, secret: str) -> Endpoint:
        """Adds a secret to be confirmed, in place of any other unconfirmed one. Refuses with ENDPOINT_NOT_FOUND."""
        return await self._one(_ROTATE, endpoint_id, owner, sealed=self._fernet.encrypt(secret.encode()))

    async def confirm(self, endpoint_id: str, *, owner: Owner) -> Endpoint:
        """Lets the new secret sign first; the old one stays beside it for OVERLAP_HOURS. Repeating it changes nothing.

        Refuses with ENDPOINT_NOT_FOUND or ENDPOINT_NOT_ROTATING.
        """
        rows = await fetch(self._pool, _CONFIRM, this_id=endpoint_id, **_of(owner))
        if rows:
            return _endpoint(rows[0])
        await self.get(endpoint_id, owner=owner)
        raise endpoint_not_rotating(endpoint_id)

    async def _one(self, query: Query, endpoint_id: str, owner: Owner, **values: Any) -> Endpoint:
        rows = await fetch(self._pool, query, this_id=endpoint_id, **_of(owner), **values)
        if not rows:
            raise endpoint_not_found(endpoint_id)
        return _endpoint(rows[0])


def _of(owner: Owner) -> dict[str, str]:
    return {"of_account": owner.account_id, "of_environment": owner.environment}


def _endpoint(row: dict[str, Any]) -> Endpoint:
    return Endpoint(**{**row, "events": tuple(row["events"])})
