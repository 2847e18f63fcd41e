"""Unfinished jobs in SQL as they are taken away from whoever has them: the lease number goes up, and so others stop."""

from typing import Any

from sqlalchemy import text

from services.common.postgres.database import Pool, Query
from services.jobs.domain.claims import Attempt, Claim
from services.jobs.domain.failures import FailureCode
from services.jobs.domain.states import State
from services.jobs.store.queue.claims import ATTEMPT_COLUMNS, CLAIMED, GOT_ON, TAKEN_COLUMNS, claim_from_row

_TAKE = "lease_no = lease_no + 1, lease_until = now() + make_interval(secs => :lease_seconds)"

# Due at once, so that a worker goes on should the taker die. The state that is returned is the new one, the job
# beside it still the old.
_WITHDRAW = Query(
    text(f"""
    WITH taken AS (
        UPDATE work SET state = 'failing', state_since = now(), {GOT_ON}, due_at = now(), {_TAKE}
        WHERE job_id = :job_id AND state = 'pending'
        RETURNING {TAKEN_COLUMNS}
    ), named AS (
        UPDATE jobs SET failure = :failure FROM taken WHERE id = taken.job_id
    )
    {CLAIMED}
    """)  # noqa: S608
)

_SEIZE = Query(
    text(f"""
    WITH taken AS (
        UPDATE work SET {_TAKE} WHERE job_id = :job_id AND state = 'processing' RETURNING {TAKEN_COLUMNS}
    )
    {CLAIMED}
    """)  # noqa: S608
)

_ATTEMPT = Query(
    text(f"""
    SELECT {", ".join(f"attempts.{name}" for name in ATTEMPT_COLUMNS)}
    FROM work JOIN attempts USING (job_id)
    WHERE job_id = :job_id AND state = 'processing' ORDER BY number DESC LIMIT 1
    """)  # noqa: S608
)

_STATE = Query(text("SELECT state FROM work WHERE job_id = :job_id"))


class SqlWithdrawals:
    """The port Withdrawals, on PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def withdraw(self, job_id: str, *, failure: FailureCode, lease_seconds: float) -> Claim | None:
        """Moves a job from PENDING to FAILING and takes it, whoever has it. None: it is not PENDING."""
        values = {"job_id": job_id, "failure": failure.value, "lease_seconds": lease_seconds}
        return await self._taken(_WITHDRAW, values, failure=failure)

    async def attempt(self, job_id: str) -> Attempt | None:
        """Returns the attempt of a job in PROCESSING. None: it is not in PROCESSING."""
        rows = await self._rows(_ATTEMPT, {"job_id": job_id})
        return Attempt(**rows[0]) if rows else None

    async def steal_lease(self, job_id: str, *, lease_seconds: float) -> Claim | None:
        """Takes a job in PROCESSING, whoever has it. None: it is not in PROCESSING."""
        return await self._taken(_SEIZE, {"job_id": job_id, "lease_seconds": lease_seconds})

    async def state(self, job_id: str) -> State | None:
        """Returns the state of a job. None: it has ended."""
        rows = await self._rows(_STATE, {"job_id": job_id})
        return State(rows[0]["state"]) if rows else None

    async def _taken(self, query: Query, values: dict[str, Any], **changes: Any) -> Claim | None:
        rows = await self._rows(query, values)
        return claim_from_row({**rows[0], **changes}) if rows else None

    async def _rows(self, query: Query, values: dict[str, Any]) -> list[dict[str, Any]]:
        async with self._pool.connection() as connection:
            return await (await connection.execute(query.sql, query.bind(**values))).fetchall()
