"""Listeners and what they are told, in PostgreSQL. What is read is a range of the key of `heard`.

How a listener is told, and in which order, is in the function `tell_listeners` of the migrations.
"""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from cryptography.fernet import Fernet, MultiFernet
from sqlalchemy import text

from services.common.postgres.database import Pool, Query, fetch, fetch_within
from services.webhooks.domain import LISTENER_SECONDS, LISTENERS_MAX, Heard, HeardPage, Listener, Owner
from services.webhooks.refusals import listener_limit_reached, listener_not_found

NOTED_MAX = 500
LATE_SECONDS = 120
"""So much later than it says does a listener end: that it was read is noted a moment afterwards."""
PAGE_BYTES_MAX = 1024 * 1024
"""Of bodies, in one page. One more body may go beyond it."""
FORGOTTEN_MAX = 10
HEARD_FORGOTTEN_MAX = 1_000

_LATE = f"interval '{LATE_SECONDS} seconds'"
_SHOWN = f"listener_id, events, created_at, ends_at - {_LATE} AS expires_at"
_OF_OWNER = "account_id = :account_id AND environment = :environment AND ends_at > now()"
# Two that count at the same time would both find room.
_LOCK = Query(
    text("SELECT pg_advisory_xact_lock(hashtextextended('listeners ' || :account_id || :environment, 0))")
)
_OTHERS = Query(
    text(f"SELECT count(*) AS count FROM listeners WHERE {_OF_OWNER} AND listener_id <> :listener_id")  # noqa: S608
)
_ADD = Query(
    text(f"""
    INSERT INTO listeners (listener_id, account_id, environment, events, sealed_secret, ends_at)
    VALUES (:listener_id, :account_id, :environment, CAST(:events AS text[]), :sealed_secret,
        now() + CAST(:lasts AS interval) + {_LATE})
    -- Changes nothing, but returns what there is.
    ON CONFLICT (listener_id) DO UPDATE SET listener_id = excluded.listener_id
    RETURNING {_SHOWN}, sealed_secret
    """)  # noqa: S608
)
_ALL = Query(
    text(f"SELECT {_SHOWN} FROM listeners WHERE {_OF_OWNER} ORDER BY listener_id LIMIT :most")  # noqa: S608
)
_GET = Query(
    text(f"""
    SELECT sealed_secret, ends_at - {_LATE} AS expires_at FROM listeners
    WHERE listener_id = :listener_id AND {_OF_OWNER}
    """)  # noqa: S608
)
# The bodies that are too many for a page are not read: only their lengths are.
_READ = Query(
    text("""
    SELECT number, event_id, environment, contract, type, body, accepted_at FROM (
        SELECT heard.number, events.*,
            sum(octet_length(body)) OVER (ORDER BY heard.number) - octet_length(body) AS bytes_before
        FROM (
            SELECT * FROM heard WHERE listener_id = :listener_id AND number > :after ORDER BY number LIMIT :most
        ) AS heard JOIN events USING (event_id)
    ) AS page
    WHERE bytes_before < :bytes_max ORDER BY number
    """)
)
_END = Query(
    text(f"UPDATE listeners SET ends_at = now() WHERE listener_id = :listener_id AND {_OF_OWNER}")  # noqa: S608
)
_TOLD = Query(
    text("""
    SELECT listener_id FROM unnest(CAST(:listener_ids AS text[]), CAST(:seen AS integer[])) AS waiting (listener_id, seen)
    CROSS JOIN LATERAL (
        SELECT FROM listeners WHERE listeners.listener_id = waiting.listener_id AND last_number > seen LIMIT 1
    ) AS told
    """)
)
_lasts = " ".join(
    f"WHEN '{name}' THEN interval '{count} seconds'" for name, count in LISTENER_SECONDS.items()
)
_NOTE_READ = Query(
    text(f"""
    WITH alive AS MATERIALIZED (
        SELECT listener_id FROM listeners WHERE listener_id = ANY (CAST(:listener_ids AS text[])) AND ends_at > now()
        ORDER BY listener_id FOR NO KEY UPDATE
    )
    UPDATE listeners SET ends_at = now() + CASE environment {_lasts} END + {_LATE}
    FROM alive WHERE listeners.listener_id = alive.listener_id
    """)  # noqa: S608
)
_FORGET = Query(text("SELECT forget_listeners(:listeners_max, :heard_max) AS forgotten_count"))


class SqlListeners:
    """Listeners as their owners make and read them. Secrets are encrypted wherever they rest."""

    def __init__(self, pool: Pool, fernet: Fernet | MultiFernet) -> None:
        self._pool = pool
        self._fernet = fernet

    async def add(
        self, listener_id: str, *, owner: Owner, events: Collection[str], secret: str
    ) -> tuple[Listener, str]:
        """Makes a listener, unless there is one with its id, and returns it with its secret.

        Refuses with LISTENER_LIMIT_REACHED when the owner has LISTENERS_MAX others already.
        """
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute(_LOCK.sql, _LOCK.bind(**_of(owner)))
            [others] = await fetch_within(connection, _OTHERS, listener_id=listener_id, **_of(owner))
            if others["count"] >= LISTENERS_MAX:
                raise listener_limit_reached()
            [row] = await fetch_within(
                connection,
                _ADD,
                listener_id=listener_id,
                events=list(events),
                sealed_secret=self._fernet.encrypt(secret.encode()),
                lasts=timedelta(seconds=LISTENER_SECONDS[owner.environment]),
                **_of(owner),
            )
        return _listener(row), self.reveal(row["sealed_secret"])

    async def all_of(self, owner: Owner) -> list[Listener]:
        """Returns the owner's listeners, oldest first."""
        return [_listener(row) for row in await fetch(self._pool, _ALL, most=LISTENERS_MAX, **_of(owner))]

    async def page(self, listener_id: str, *, owner: Owner, after: int, limit: int) -> HeardPage:
        """Returns what comes after a number, oldest first. Refuses with LISTENER_NOT_FOUND."""
        async with self._pool.connection() as connection:
            found = await fetch_within(connection, _GET, listener_id=listener_id, **_of(owner))
            if not found:
                raise listener_not_found(listener_id)
            heard = await fetch_within(
                connection,
                _READ,
                listener_id=listener_id,
                after=after,
                most=limit,
                bytes_max=PAGE_BYTES_MAX,
            )
        return HeardPage(heard=[Heard(**row) for row in heard], **found[0])

    async def end(self, listener_id: str, *, owner: Owner) -> None:
        """Ends a listener. Refuses with LISTENER_NOT_FOUND."""
        async with self._pool.connection() as connection:
            ended = await connection.execute(_END.sql, _END.bind(listener_id=listener_id, **_of(owner)))
        if not ended.rowcount:
            raise listener_not_found(listener_id)

    async def told(self, seen: Mapping[str, int]) -> list[str]:
        """Returns the listeners that have more than what was seen of them: the last number of each."""
        rows = await fetch(self._pool, _TOLD, listener_ids=list(seen), seen=list(seen.values()))
        return [row["listener_id"] for row in rows]

    async def note_read(self, listener_ids: Collection[str]) -> None:
        """Lets listeners that have not ended last for their time from now on."""
        async with self._pool.connection() as connection:
            await connection.execute(_NOTE_READ.sql, _NOTE_READ.bind(listener_ids=list(listener_ids)))

    def reveal(self, sealed: bytes) -> str:
        """Returns a secret that was stored."""
        return self._fernet.decrypt(sealed).decode()


class EndedListeners:
    """Listeners that nobody can read any more."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def forget(self) -> int:
        """Removes a part of them, with what they were told, in one commit. Returns how many rows; 0 when none are left."""
        [row] = await fetch(self._pool, _FORGET, listeners_max=FORGOTTEN_MAX, heard_max=HEARD_FORGOTTEN_MAX)
        return int(row["forgotten_count"])


def _of(owner: Owner) -> dict[str, str]:
    return {"account_id": owner.account_id, "environment": owner.environment}


def _listener(row: dict[str, Any]) -> Listener:
    return Listener(
        listener_id=row["listener_id"],
        events=tuple(row["events"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
    )
