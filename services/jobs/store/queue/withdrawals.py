"""Taking an unfinished job from the worker that has it, in SQL: the lease number goes up, so that worker stops."""

from sqlalchemy import text

from services.common.postgres.database import Pool, Query, fetch
from services.jobs.domain.claims import Attempt, Claim
from services.jobs.domain.failures import FailureCode
from services.jobs.domain.states import State
from services.jobs.store.partitions import has_id
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
        UPDATE jobs SET failure = :failure FROM taken WHERE {has_id("jobs.id", ":job_id")} AND id = taken.job_id
    )
    {CLAIMED}
    """)  # noqa: S608
)

_STEAL_LEASE = Query(
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
    """Unfinished jobs that are taken from the worker that has them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def withdraw(self, job_id: str, *, failure: FailureCode, lease_seconds: float) -> Claim | None:
        """Moves a job from PENDING to FAILING and takes it, whichever worker has it. None: it is not PENDING."""
        rows = await fetch(
            self._pool, _WITHDRAW, job_id=job_id, failure=failure.value, lease_seconds=lease_seconds
        )
        return claim_from_row({**rows[0], "failure": failure}) if rows else None

    async def attempt(self, job_id: str) -> Attempt | None:
        """Returns the attempt of a job in PROCESSING. None: it is not in PROCESSING."""
        rows = await fetch(self._pool, _ATTEMPT, job_id=job_id)
        return Attempt(**rows[0]) if rows else None

    async def steal_lease(self, job_id: str, *, lease_seconds: float) -> Claim | None:
        """Takes a job in PROCESSING, whichever worker has it. None: it is not in PROCESSING."""
        rows = await fetch(self._pool, _STEAL_LEASE, job_id=job_id, lease_seconds=lease_seconds)
        return claim_from_row(rows[0]) if rows else None

    async def state(self, job_id: str) -> State | None:
        """Returns the state of a job. None: it has ended."""
        rows = await fetch(self._pool, _STATE, job_id=job_id)
        return State(rows[0]["state"]) if rows else None
