"""Places at providers, in SQL: who has one, who waits for one, and who is let in next.

Whether there is a place is decided under a lock of the account and environment that lasts until the commit, so the
caps are exact over all processes. Places are given back without it: then somebody waits a moment too long at most.
"""

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from hashlib import blake2b
from typing import Any

from sqlalchemy import text

from services.common.postgres.batching import Batcher, answer_apart, succeeded
from services.common.postgres.database import Connection, Pool, Query, fetch
from services.jobs.store.admission.places import counted_places

log = logging.getLogger(__name__)

OWNERS_MAX = 200
"""Accounts and environments in one statement."""
IS_WAITING = "admitted_at IS NULL AND state = 'pending'"
"""Of a work row. Written as in the indexes of waiting jobs."""

AccountEnvironment = tuple[str, str]

# What is planned while a table is small is kept when it has grown, so its index is to be used from the first on.
LOCK = Query(
    text("""
    SELECT pg_advisory_xact_lock(key), set_config('enable_seqscan', 'off', true)
    FROM unnest(CAST(:keys AS bigint[])) AS key
    """)
)

# What may be let in of a key is let in if the account has room: so the oldest of each key, as many as the key has
# room for, and of all those the oldest. However many wait, no more rows are read than there are places: nothing is
# joined that could be read whole, and the last condition is IS_WAITING in words that no index has.
ADMIT = Query(
    text(f"""
    WITH RECURSIVE owners AS MATERIALIZED (
        SELECT wanted.account_id, wanted.environment, jobs_max - placed_count AS room
        FROM unnest(CAST(:account_ids AS text[]), CAST(:environments AS text[]))
            AS wanted (account_id, environment)
        CROSS JOIN LATERAL (
            SELECT jobs_max FROM caps
            WHERE caps.account_id = wanted.account_id AND caps.environment = wanted.environment AND key_id = ''
            LIMIT 1
        ) AS cap
        CROSS JOIN LATERAL {counted_places("wanted", key="''")} AS taken
    ), keys AS (
        SELECT owners.*, first.key_id
        FROM owners CROSS JOIN LATERAL (
            SELECT key_id FROM work
            WHERE {IS_WAITING} AND work.account_id = owners.account_id AND work.environment = owners.environment
            ORDER BY key_id LIMIT 1
        ) AS first
        WHERE room > 0
        UNION ALL
        SELECT keys.account_id, keys.environment, room, next.key_id
        FROM keys CROSS JOIN LATERAL (
            SELECT key_id FROM work
            WHERE {IS_WAITING} AND work.account_id = keys.account_id AND work.environment = keys.environment
                AND work.key_id > keys.key_id
            ORDER BY key_id LIMIT 1
        ) AS next
    ), rooms AS (
        SELECT keys.*, least(room, greatest(jobs_max - placed_count, 0)) AS key_room
        FROM keys CROSS JOIN LATERAL (
            SELECT jobs_max FROM caps
            WHERE caps.account_id = keys.account_id AND caps.environment = keys.environment
                AND caps.key_id = keys.key_id
            LIMIT 1
        ) AS cap
        CROSS JOIN LATERAL {counted_places("keys", key="keys.key_id")} AS taken
    ), oldest AS (
        SELECT first.job_id, room, row_number() OVER (
            PARTITION BY account_id, environment ORDER BY first.job_id COLLATE "C"
        ) AS place
        FROM rooms CROSS JOIN LATERAL (
            SELECT job_id FROM work
            WHERE {IS_WAITING} AND work.account_id = rooms.account_id
                AND work.environment = rooms.environment AND work.key_id = rooms.key_id
            ORDER BY job_id COLLATE "C" LIMIT key_room
        ) AS first
    ), held AS MATERIALIZED (
        SELECT job_id FROM work
        WHERE job_id = ANY (ARRAY(SELECT job_id FROM oldest WHERE place <= room))
            AND coalesce(admitted_at, 'infinity') = 'infinity' AND state = 'pending'
        ORDER BY job_id FOR NO KEY UPDATE
    )
    UPDATE work SET admitted_at = now(), due_at = now() WHERE job_id = ANY (ARRAY(SELECT job_id FROM held))
    """)  # noqa: S608
)

OWNERS = Query(
    text(f"""
    WITH RECURSIVE owners AS (
        (
            SELECT account_id, environment FROM work
            WHERE {IS_WAITING} AND (account_id, environment) > (:account_id, :environment)
            ORDER BY account_id, environment LIMIT 1
        )
        UNION ALL
        SELECT next.account_id, next.environment
        FROM owners CROSS JOIN LATERAL (
            SELECT account_id, environment FROM work
            WHERE {IS_WAITING}
                AND (work.account_id, work.environment) > (owners.account_id, owners.environment)
            ORDER BY account_id, environment LIMIT 1
        ) AS next
    )
    SELECT account_id, environment FROM owners LIMIT :most
    """)  # noqa: S608
)

OVERDUE = Query(
    text(f"""
    SELECT job_id FROM work
    WHERE {IS_WAITING} AND state_since <= now() - make_interval(secs => :wait_seconds_max)
    ORDER BY state_since LIMIT :most
    """)  # noqa: S608
)


@asynccontextmanager
async def deciding(connection: Connection, owners: Iterable[AccountEnvironment]) -> AsyncIterator[None]:
    """Makes the statements of the block one transaction, and nobody else decides about these places until its commit.

    The block sends its statements without waiting for their answers. Between two syncs of a pipeline PostgreSQL keeps one
    transaction without being told, which saves a round trip's work for BEGIN and one for COMMIT.
    """
    async with connection.pipeline():
        # In one order everywhere, so that two who want the same two never wait for each other.
        await connection.execute(LOCK.sql, LOCK.bind(keys=sorted({_lock_key(owner) for owner in owners})))
        yield


def admission_values(owners: Sequence[AccountEnvironment]) -> dict[str, Any]:
    """Returns the parameters of ADMIT. No account and environment may be named twice."""
    return ADMIT.bind(
        account_ids=[account_id for account_id, _ in owners],
        environments=[environment for _, environment in owners],
    )


def _lock_key(owner: AccountEnvironment) -> int:
    digest = blake2b("\0".join(owner).encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


class SqlWaiting:
    """Jobs above the caps of their account or key: each waits for a place at a provider, and no worker gets it.

    `notify` is called when jobs are admitted.
    """

    def __init__(self, pool: Pool, *, notify: Callable[[], None] = lambda: None) -> None:
        self._pool = pool
        self._notify = notify
        self._admissions = Batcher(self._admit, items_max=OWNERS_MAX, name="admit", name_of=":".join)
        self._last: AccountEnvironment = ("", "")

    async def admit(self) -> int:
        """Gives free places to the oldest jobs that may have them, for OWNERS_MAX accounts each time.

        Returns how many jobs were admitted.
        """
        account_id, environment = self._last
        rows = await fetch(
            self._pool, OWNERS, account_id=account_id, environment=environment, most=OWNERS_MAX
        )
        owners = [(row["account_id"], row["environment"]) for row in rows]
        self._last = owners[-1] if len(owners) == OWNERS_MAX else ("", "")
        if not owners:
            return 0
        return sum(succeeded(await answer_apart(self._admit, owners, name="admit", name_of=":".join)))

    async def follow(self, account_id: str, environment: str) -> None:
        """Gives away a place that was given back. If that fails, `admit` does it soon."""
        try:
            await self._admissions.submit((account_id, environment))
        except Exception:
            log.exception("account=%s environment=%s places stay free for now", account_id, environment)

    async def overdue(self, *, wait_seconds_max: float, limit: int) -> list[str]:
        """Returns the ids of jobs that have waited longer than this, the longest first."""
        rows = await fetch(self._pool, OVERDUE, wait_seconds_max=wait_seconds_max, most=limit)
        return [row["job_id"] for row in rows]

    async def _admit(self, owners: Sequence[AccountEnvironment]) -> Sequence[int]:
        """Returns how many jobs were let in, beside the first of the owners."""
        once = sorted(set(owners))
        async with self._pool.connection() as connection:
            async with deciding(connection, once):
                cursor = await connection.execute(ADMIT.sql, admission_values(once))
            admitted = cursor.rowcount
        if admitted:
            self._notify()
        return [admitted, *(0 for _ in owners[1:])]
