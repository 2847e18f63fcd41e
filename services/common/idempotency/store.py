"""Idempotency keys in PostgreSQL. Requests that arrive together share one commit to begin and one to end."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from psycopg.rows import DictRow
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Index,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from services.common.errors import Reason, ServiceError
from services.common.loop import Duty
from services.common.postgres.batching import Batcher
from services.common.postgres.database import Pool, Query

KEPT_HOURS = 24
LEASE_SECONDS = 17.0
"""How long a request may run before another with its key takes over."""
REQUESTS_PER_BATCH_MAX = 100
EXPIRED_PER_BATCH_MAX = 500
IDLE_SECONDS = 60.0


def idempotency_table(metadata: MetaData) -> Table:
    """Returns the table of a service's idempotency keys. Its migration says the same."""
    moment = DateTime(timezone=True)
    return Table(
        "idempotency",
        metadata,
        Column("key_id", Text, primary_key=True),
        Column("key", Text, primary_key=True),
        Column("fingerprint", LargeBinary, nullable=False),
        Column("reserved_ulid", Text, nullable=False),
        Column("created_at", moment, nullable=False, server_default=text("now()")),
        Column("expires_at", moment, nullable=False),
        Column("locked_until", moment, nullable=False),
        Column("lock_no", BigInteger, nullable=False, server_default=text("1")),
        Column("is_finished", Boolean, nullable=False, server_default=text("false")),
        Column("response", LargeBinary),
        Column("reason", Text),
        Column("message", Text),
        Column("facts", JSONB),
        Index("idempotency_expires", "expires_at"),
    )


@dataclass(frozen=True, kw_only=True)
class KeyedRequest:
    """A request, and the key that its sender gave it."""

    key_id: str
    """Of the API key."""
    key: str
    fingerprint: bytes
    """The same for the same method and message."""


@dataclass(frozen=True, kw_only=True)
class Lock:
    """The right to run a request for LEASE_SECONDS."""

    request: KeyedRequest
    number: int
    ulid: str
    """For the id of what it creates."""
    is_repeated: bool
    """Whether it may have run before, without an answer on record."""


Answer = bytes | ServiceError
"""A serialized response, or a refusal."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What there is under a key that cannot be locked."""

    is_same: bool
    """Whether it was given to the same request."""
    answer: Answer | None
    """None while the request runs."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """What becomes of a lock."""

    lock: Lock
    answer: Answer | None = None
    """What to answer from now on. None: the request may run again."""
    is_undone: bool = False
    """Whether it surely did nothing, so that its key is free again."""
    new_ulid: str | None = None
    """What to reserve instead."""


# A key is locked when it is new, has expired, or was given to the same request, which is neither running nor answered.
# Rows are locked in one order by all, so that no two batches wait for each other.
_RESERVE = Query(
    text(f"""
    INSERT INTO idempotency AS kept (key_id, key, fingerprint, reserved_ulid, expires_at, locked_until)
    SELECT key_id, key, fingerprint, ulid, now() + interval '{KEPT_HOURS} hours', now() + interval '{LEASE_SECONDS} seconds'
    FROM unnest(
        CAST(:key_ids AS text[]), CAST(:keys AS text[]), CAST(:fingerprints AS bytea[]), CAST(:ulids AS text[])
    ) AS item (key_id, key, fingerprint, ulid)
    ORDER BY key_id, key
    ON CONFLICT (key_id, key) DO UPDATE SET
        fingerprint = excluded.fingerprint,
        reserved_ulid = CASE WHEN kept.expires_at > now() THEN kept.reserved_ulid ELSE excluded.reserved_ulid END,
        created_at = CASE WHEN kept.expires_at > now() THEN kept.created_at ELSE excluded.created_at END,
        expires_at = CASE WHEN kept.expires_at > now() THEN kept.expires_at ELSE excluded.expires_at END,
        locked_until = excluded.locked_until, lock_no = kept.lock_no + 1,
        is_finished = false, response = NULL, reason = NULL, message = NULL, facts = NULL
    WHERE kept.locked_until <= now()
        AND (kept.expires_at <= now() OR NOT kept.is_finished AND kept.fingerprint = excluded.fingerprint)
    RETURNING kept.key_id, kept.key, kept.lock_no, kept.reserved_ulid, kept.created_at < now() AS is_repeated
    """)  # noqa: S608  only constants are put in
)
_FIND = Query(
    text("""
    SELECT key_id, key, fingerprint, response, reason, message, facts
    FROM unnest(CAST(:key_ids AS text[]), CAST(:keys AS text[])) AS item (key_id, key)
    JOIN idempotency USING (key_id, key)
    """)
)
_END = Query(
    text("""
    WITH item AS MATERIALIZED (
        SELECT item.* FROM unnest(
            CAST(:key_ids AS text[]), CAST(:keys AS text[]), CAST(:lock_nos AS bigint[]), CAST(:finished AS boolean[]),
            CAST(:undone AS boolean[]), CAST(:ulids AS text[]), CAST(:responses AS bytea[]), CAST(:reasons AS text[]),
            CAST(:messages AS text[]), CAST(:facts AS text[])
        ) AS item (key_id, key, lock_no, is_finished, is_undone, ulid, response, reason, message, facts)
        JOIN idempotency AS kept USING (key_id, key, lock_no)
        WHERE NOT kept.is_finished
        ORDER BY key_id, key FOR NO KEY UPDATE OF kept
    )
    UPDATE idempotency AS kept SET
        locked_until = now(), is_finished = item.is_finished,
        reserved_ulid = coalesce(item.ulid, kept.reserved_ulid),
        expires_at = CASE WHEN item.is_undone THEN now() ELSE kept.expires_at END,
        response = item.response, reason = item.reason, message = item.message, facts = CAST(item.facts AS jsonb)
    FROM item
    WHERE (kept.key_id, kept.key, kept.lock_no) = (item.key_id, item.key, item.lock_no)
    RETURNING kept.key_id, kept.key, kept.lock_no
    """)
)
_FORGET = Query(
    text("""
    DELETE FROM idempotency WHERE (key_id, key) IN (
        SELECT key_id, key FROM idempotency WHERE expires_at <= now() AND locked_until <= now()
        ORDER BY expires_at LIMIT :most FOR UPDATE SKIP LOCKED
    )
    """)
)


class SqlIdempotencyKeys:
    """Keeps what was answered to requests with idempotency keys, for KEPT_HOURS."""

    def __init__(
        self, pool: Pool, *, seal: Callable[[bytes], bytes] = bytes, unseal: Callable[[bytes], bytes] = bytes
    ) -> None:
        """`seal` and `unseal` encrypt the responses of a service that shows secrets. Default: they rest as they are."""
        self._pool = pool
        self._seal = seal
        self._unseal = unseal
        self._reservations = Batcher(
            self._reserve,
            items_max=REQUESTS_PER_BATCH_MAX,
            name="reserve_keys",
            name_of=lambda wish: wish[0].key_id,
        )
        self._endings = Batcher(
            self._end,
            items_max=REQUESTS_PER_BATCH_MAX,
            name="end_requests",
            name_of=lambda ending: ending.lock.request.key_id,
        )

    async def reserve(self, request: KeyedRequest, *, ulid: str) -> Lock | Found:
        """Locks a key for a request that will run. Reserves `ulid` for it, unless another is already reserved."""
        locked, kept = await self._reservations.submit((request, ulid))
        return _lock(request, locked) if locked is not None else self._found(request, kept)

    async def end(self, ending: Ending) -> bool:
        """Ends a lock. Returns whether it still held; if not, nothing is changed."""
        return await self._endings.submit(ending)

    async def forget_expired(self, *, keys_max: int = EXPIRED_PER_BATCH_MAX) -> int:
        """Deletes keys that have expired. Returns how many."""
        async with self._pool.connection() as connection:
            return (await connection.execute(_FORGET.sql, _FORGET.bind(most=keys_max))).rowcount

    async def _reserve(
        self, batch: Sequence[tuple[KeyedRequest, str]]
    ) -> list[tuple[DictRow | None, DictRow | None]]:
        """Returns for each request the row that it locked, or else the one that it found."""
        # Only one of several requests with the same key can be inserted; the others find it.
        wanted = {(request.key_id, request.key): (request, ulid) for request, ulid in reversed(batch)}
        ours = [request for request, _ in wanted.values()]
        bound = _RESERVE.bind(
            **_places(wanted),
            fingerprints=[request.fingerprint for request in ours],
            ulids=[ulid for _, ulid in wanted.values()],
        )
        async with self._pool.connection() as connection:
            locked = {
                (row["key_id"], row["key"]): row
                for row in await (await connection.execute(_RESERVE.sql, bound)).fetchall()
            }
            kept = {}
            if len(locked) < len(batch):
                cursor = await connection.execute(_FIND.sql, _FIND.bind(**_places(wanted)))
                kept = {(row["key_id"], row["key"]): row for row in await cursor.fetchall()}
        places = [(request.key_id, request.key) for request, _ in batch]
        return [(locked.pop(place, None), kept.get(place)) for place in places]

    def _found(self, request: KeyedRequest, row: DictRow | None) -> Found:
        if row is None:
            # It was forgotten a moment ago.
            return Found(is_same=True, answer=None)
        answer: Answer | None = None
        if row["response"] is not None:
            answer = self._unseal(row["response"])
        elif row["reason"] is not None:
            answer = ServiceError(Reason(row["reason"]), row["message"], **row["facts"])
        return Found(is_same=row["fingerprint"] == request.fingerprint, answer=answer)

    async def _end(self, batch: Sequence[Ending]) -> list[bool]:
        requests = [ending.lock.request for ending in batch]
        errors = [ending.answer if isinstance(ending.answer, ServiceError) else None for ending in batch]
        bound = _END.bind(
            key_ids=[request.key_id for request in requests],
            keys=[request.key for request in requests],
            lock_nos=[ending.lock.number for ending in batch],
            finished=[ending.answer is not None for ending in batch],
            undone=[ending.is_undone for ending in batch],
            ulids=[ending.new_ulid for ending in batch],
            responses=[
                self._seal(ending.answer) if isinstance(ending.answer, bytes) else None for ending in batch
            ],
            reasons=[None if error is None else str(error.reason) for error in errors],
            messages=[None if error is None else error.message for error in errors],
            facts=[None if error is None else json.dumps(error.metadata) for error in errors],
        )
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_END.sql, bound)).fetchall()
        ended = {(row["key_id"], row["key"], row["lock_no"]) for row in rows}
        return [
            (request.key_id, request.key, ending.lock.number) in ended
            for request, ending in zip(requests, batch, strict=True)
        ]


def _places(wanted: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    places = list(wanted)
    return {"key_ids": [key_id for key_id, _ in places], "keys": [key for _, key in places]}


def _lock(request: KeyedRequest, row: DictRow) -> Lock:
    return Lock(
        request=request, number=row["lock_no"], ulid=row["reserved_ulid"], is_repeated=row["is_repeated"]
    )


def forget_expired(keys: SqlIdempotencyKeys) -> Duty:
    """Returns the duty that deletes keys that are no longer kept."""
    return Duty("idempotency", keys.forget_expired, idle_seconds=IDLE_SECONDS)
