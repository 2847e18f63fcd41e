"""Uploads, in SQL. Their number and bytes are bounded for each account and environment, exactly, over all processes."""

from collections.abc import Sequence
from hashlib import blake2b

from sqlalchemy import text

from services.common.postgres.database import Pool, Query, fetch, fetch_within
from services.jobs.domain.requests import Owner
from services.jobs.domain.uploads import USED_TIME, Upload, UploadQuota
from services.jobs.refusals import upload_limit_reached

_COLUMNS = (
    "id, account_id, environment, name, media_type, byte_count, arrived_at, created_at, put_until, kept_until"
)
_OF_OWNER = "account_id = :account_id AND environment = :environment"

# The next statement counts what whoever held the lock before has committed.
LOCK = Query(text("SELECT pg_advisory_xact_lock(:key)"))
ADD = Query(
    text(f"""
    WITH known AS (
        SELECT count(*) AS count, coalesce(sum(byte_count), 0) AS bytes FROM uploads WHERE {_OF_OWNER}
    ), added AS (
        INSERT INTO uploads (id, account_id, environment, name, media_type, byte_count, created_at, put_until, kept_until)
        SELECT :id, :account_id, :environment, :name, :media_type, :byte_count, :created_at, :put_until, :kept_until
        FROM known WHERE count < :count_max AND bytes + :byte_count <= :bytes_max
        RETURNING id
    )
    SELECT count, CAST(bytes AS bigint) AS bytes, (SELECT count(*) FROM added) AS added FROM known
    """)  # noqa: S608
)
FIND = Query(
    text(f"""
    SELECT {_COLUMNS} FROM uploads
    WHERE id = ANY (CAST(:ids AS text[])) AND {_OF_OWNER} AND kept_until > now()
    """)  # noqa: S608
)
NOTE_ARRIVAL = Query(
    text(
        "UPDATE uploads SET arrived_at = now(), byte_count = :byte_count WHERE id = :id AND arrived_at IS NULL"
    )
)
KEEP = Query(
    text(f"""
    WITH held AS MATERIALIZED (
        SELECT id FROM uploads
        WHERE id = ANY (CAST(:ids AS text[])) AND {_OF_OWNER} AND kept_until > now()
        ORDER BY id FOR UPDATE
    )
    UPDATE uploads SET kept_until = greatest(kept_until, now() + make_interval(secs => :seconds))
    FROM held WHERE uploads.id = held.id RETURNING uploads.id
    """)  # noqa: S608
)
GIVE_UP = Query(
    text(f"""
    UPDATE uploads SET kept_until = now() WHERE id = :id AND {_OF_OWNER} AND kept_until > now()
    RETURNING name
    """)  # noqa: S608
)
OLD = Query(
    text(f"SELECT {_COLUMNS} FROM uploads WHERE kept_until <= now() ORDER BY kept_until LIMIT :most")  # noqa: S608
)
FORGET = Query(text("DELETE FROM uploads WHERE id = :id AND kept_until <= now()"))
KNOWN = Query(text("SELECT id FROM uploads WHERE id = ANY (CAST(:ids AS text[]))"))


class SqlUploads:
    """What customers have announced and sent."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, upload: Upload, *, quota: UploadQuota) -> None:
        """Puts an upload on record. Refuses with UPLOAD_LIMIT_REACHED."""
        values = {name: value for name, value in vars(upload).items() if name != "arrived_at"}
        limits = {"count_max": quota.count_max, "bytes_max": quota.byte_count_max}
        async with self._pool.connection() as connection, connection.transaction():
            await fetch_within(connection, LOCK, key=_lock_key(upload))
            [found] = await fetch_within(connection, ADD, **values, **limits)
        if not found["added"]:
            raise upload_limit_reached(quota, count=found["count"], byte_count=found["bytes"])

    async def find(self, upload_ids: Sequence[str], *, owner: Owner) -> dict[str, Upload]:
        """Returns, by id, those of the uploads that the owner has."""
        rows = await fetch(self._pool, FIND, ids=list(upload_ids), **_values(owner))
        return {row["id"]: Upload(**row) for row in rows}

    async def note_arrival(self, upload_id: str, *, byte_count: int) -> None:
        """Notes that the file is there. Repeating it changes nothing."""
        async with self._pool.connection() as connection:
            await connection.execute(NOTE_ARRIVAL.sql, NOTE_ARRIVAL.bind(id=upload_id, byte_count=byte_count))

    async def keep(self, upload_ids: Sequence[str], *, owner: Owner) -> set[str]:
        """Keeps uploads for a task that names them. Returns those that are there."""
        seconds = USED_TIME.total_seconds()
        rows = await fetch(self._pool, KEEP, ids=sorted(upload_ids), seconds=seconds, **_values(owner))
        return {row["id"] for row in rows}

    async def give_up(self, upload_id: str, *, owner: Owner) -> str | None:
        """Has an upload deleted: from now on nobody can name it. Returns the name of its file, or None without one."""
        rows = await fetch(self._pool, GIVE_UP, id=upload_id, **_values(owner))
        return rows[0]["name"] if rows else None

    async def old(self, *, limit: int) -> list[Upload]:
        """Returns uploads whose time is over, the oldest first."""
        return [Upload(**row) for row in await fetch(self._pool, OLD, most=limit)]

    async def forget(self, upload_id: str) -> None:
        """Forgets an upload whose time is over and whose file is gone."""
        async with self._pool.connection() as connection:
            await connection.execute(FORGET.sql, FORGET.bind(id=upload_id))

    async def known(self, upload_ids: Sequence[str]) -> set[str]:
        """Returns those of the ids that are on record, whoever they belong to."""
        return {row["id"] for row in await fetch(self._pool, KNOWN, ids=list(upload_ids))}


def _values(owner: Owner) -> dict[str, str]:
    return {"account_id": owner.account_id, "environment": owner.environment}


def _lock_key(upload: Upload) -> int:
    named = f"uploads\0{upload.account_id}\0{upload.environment}"
    return int.from_bytes(blake2b(named.encode(), digest_size=8).digest(), signed=True)
