"""Which dispatchers live, in PostgreSQL: each keeps a row of its own fresh, and others take over from one that does not.

Only the database's clock is compared, and a row reads the same on every connection. So dispatchers may use different
nodes, and poolers that lend whole sessions.
"""

import asyncio
import logging
from datetime import timedelta

import psycopg
from sqlalchemy import text

from services.common.postgres.database import Connection, Pool, Query, fetch, fetch_within

log = logging.getLogger(__name__)

BEAT_SECONDS = 0.5
FRESH_SECONDS = 2
"""How old the last beat may be of who claims, or judges others: what is claimed must not be taken away the moment after."""
GONE_SECONDS = 3
"""A dispatcher that did not beat for so long is gone, or so slow that others take over what it has."""
FORGOTTEN_SECONDS = 60
"""After which its row goes. By then every lease of it has ended."""
FORGOTTEN_MAX = 100
REOPENED_MAX = 1_000
OWNER_LOCK_CLASS = 7_266
"""First number of the advisory locks by which dispatchers of the release before show that they live; the second is the
owner's own. The release after this one drops the locks, and what `_REOPEN` asks of them."""

_FRESH = timedelta(seconds=FRESH_SECONDS)
_GONE = timedelta(seconds=GONE_SECONDS)
_FORGOTTEN = timedelta(seconds=FORGOTTEN_SECONDS)

assert BEAT_SECONDS < FRESH_SECONDS < GONE_SECONDS < FORGOTTEN_SECONDS, "a late beat is not yet a missing one"

_ENTER = Query(
    text("""
    WITH forgotten AS (
        SELECT owner FROM dispatchers WHERE beat_at < now() - CAST(:forgotten AS interval)
        ORDER BY owner LIMIT :most FOR UPDATE SKIP LOCKED
    ), deleted AS (DELETE FROM dispatchers USING forgotten WHERE dispatchers.owner = forgotten.owner)
    INSERT INTO dispatchers (owner) VALUES (CAST(nextval('owner_numbers') AS integer)) RETURNING owner
    """)
)
# Tried and not waited for: a session of ours that the server has not given up yet may still hold it.
_LOCK = Query(text("SELECT pg_try_advisory_lock(:lock_class, :owner)"))
_UNLOCK = Query(text("SELECT pg_advisory_unlock_all()"))
_BEAT = Query(
    text("""
    UPDATE dispatchers SET beat_at = now(),
        steady_since = CASE WHEN beat_at > now() - CAST(:gone AS interval) THEN steady_since ELSE now() END
    WHERE owner = :owner RETURNING owner
    """)
)
# After an outage every row is old. So a dispatcher judges others only once it has itself beaten, without a gap, for as
# long as they may be silent.
_REOPEN = Query(
    text("""
    WITH steady AS MATERIALIZED (
        SELECT FROM dispatchers
        WHERE owner = :owner AND beat_at > now() - CAST(:fresh AS interval)
            AND steady_since <= now() - CAST(:gone AS interval)
    ), gone AS (
        SELECT DISTINCT heads.owner FROM heads LEFT JOIN dispatchers ON dispatchers.owner = heads.owner
        WHERE heads.owner IS NOT NULL AND CASE
            WHEN beat_at IS NOT NULL THEN beat_at <= now() - CAST(:gone AS interval) AND EXISTS (SELECT FROM steady)
            ELSE NOT EXISTS (
                SELECT FROM pg_locks
                WHERE locktype = 'advisory' AND granted AND objsubid = 2
                    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                    AND classid = CAST(:lock_class AS oid) AND objid = CAST(heads.owner AS oid)
            )
        END
    )
    SELECT reopen_heads(ARRAY(SELECT owner FROM gone), :most) AS reopened_count
    """)
)
_LEAVE = Query(
    text("""
    WITH gone AS (DELETE FROM dispatchers WHERE owner = :owner RETURNING owner)
    SELECT reopen_heads(ARRAY(SELECT owner FROM gone), :most)
    """)
)


class SqlMembership:
    """One dispatcher among all: it enters, beats, takes over from those that are gone, and leaves.

    It beats on a connection of its own, so that it does not look gone because the pool is busy.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._owner: int | None = None
        self._beating: Connection | None = None
        self._one_at_a_time = asyncio.Lock()

    async def owner(self) -> int:
        """Returns the number that this dispatcher claims under. After a beat it may be another."""
        async with self._one_at_a_time:
            return await self._entered()

    async def beat(self) -> None:
        """Shows that this dispatcher lives. If others have forgotten it, it enters anew. An error is logged.

        It is not raised, because the next beat must not wait longer after a failure than after a success.
        """
        async with self._one_at_a_time:
            try:
                owner = await self._entered()
                if not await fetch_within(await self._connected(owner), _BEAT, owner=owner, gone=_GONE):
                    log.warning("owner=%d was forgotten", owner)
                    self._owner = None
                    await self._entered()
            except psycopg.Error as error:
                log.warning("no beat: %s", error)
                await self._disconnect(is_broken=True)

    async def reopen_abandoned(self) -> int:
        """Makes due at once what dispatchers that are gone had leased. Returns the number of deliveries."""
        [row] = await fetch(
            self._pool,
            _REOPEN,
            owner=self._owner,
            fresh=_FRESH,
            gone=_GONE,
            lock_class=OWNER_LOCK_CLASS,
            most=REOPENED_MAX,
        )
        return int(row["reopened_count"])

    async def leave(self) -> None:
        """Makes due at once what is still leased here, for others."""
        async with self._one_at_a_time:
            owner, self._owner = self._owner, None
            try:
                if owner is not None:
                    await fetch(self._pool, _LEAVE, owner=owner, most=REOPENED_MAX)
            finally:
                await self._disconnect()

    async def _entered(self) -> int:
        if self._owner is None:
            await self._disconnect()
            [row] = await fetch(self._pool, _ENTER, forgotten=_FORGOTTEN, most=FORGOTTEN_MAX)
            self._owner = int(row["owner"])
            await self._connected(self._owner)
        return self._owner

    async def _connected(self, owner: int) -> Connection:
        if self._beating is None:
            connection = await self._pool.getconn()
            self._beating = connection
            await fetch_within(connection, _LOCK, lock_class=OWNER_LOCK_CLASS, owner=owner)
        return self._beating

    async def _disconnect(self, *, is_broken: bool = False) -> None:
        if self._beating is None:
            return
        connection, self._beating = self._beating, None
        try:
            if not is_broken:
                await connection.execute(_UNLOCK.sql)
        except psycopg.Error:
            is_broken = True
        if is_broken:
            await connection.close()
        await self._pool.putconn(connection)
