"""What operators give back for completed jobs, in SQL: put on record first, counted when billing has made it."""

from dataclasses import dataclass

from sqlalchemy import text

from services.common.audit.note import AuditNote
from services.common.postgres.database import Pool, Query, fetch, fetch_within
from services.jobs.domain.states import Status
from services.jobs.refusals import job_not_found, refund_above_charge, refund_mismatch, refund_of_unfinished
from services.jobs.store.lock_order import once_locked
from services.jobs.store.partitions import has_id


@dataclass(frozen=True, kw_only=True)
class WantedRefund:
    """Credits that an operator wants to give back for a completed job."""

    refund_id: str
    job_id: str
    amount_micros: int | None
    """None: all that was charged and not yet given back."""
    note: AuditNote


@dataclass(frozen=True, kw_only=True)
class Refund:
    """Credits that are going back, or have gone."""

    refund_id: str
    job_id: str
    amount_micros: int
    reason: str


REFUND_ACTION = "job.refund"
OWN_TIME_SECONDS = 30
"""How long a caller may take to finish a refund before a worker tries."""

# The lock keeps two refunds of one job from both finding the same credits left.
LOCK_JOB = Query(
    text(f"""
    SELECT status, charged_micros FROM jobs WHERE {has_id("jobs.id", ":job_id")} FOR NO KEY UPDATE
    """)  # noqa: S608
)
_KNOWN = Query(
    text("SELECT refund_id, job_id, amount_micros, reason FROM refunds WHERE refund_id = :refund_id")
)
_SPOKEN_FOR = Query(
    text("""
    SELECT CAST(coalesce(sum(amount_micros), 0) AS bigint) AS micros FROM refunds WHERE job_id = :job_id
    """)
)
_REGISTER = Query(
    text("""
    WITH registered AS (
        INSERT INTO refunds (refund_id, job_id, amount_micros, actor, reason, due_at)
        VALUES (:refund_id, :job_id, :amount_micros, :actor, :reason,
            now() + make_interval(secs => :own_time_seconds))
        ON CONFLICT (refund_id) DO NOTHING
        RETURNING refund_id, job_id, amount_micros, actor, reason
    ), noted AS (
        INSERT INTO audit (actor, action, subject_id, reason, details)
        SELECT actor, :action, job_id, reason,
            jsonb_build_object('refund_id', refund_id, 'amount_micros', amount_micros)
        FROM registered
    )
    SELECT refund_id, job_id, amount_micros, reason FROM registered
    """)
)
_TAKE_DUE = Query(
    text("""
    WITH due AS (
        SELECT refund_id FROM refunds WHERE applied_at IS NULL AND due_at <= now()
        ORDER BY due_at LIMIT :most FOR UPDATE SKIP LOCKED
    )
    UPDATE refunds SET due_at = now() + make_interval(secs => :own_time_seconds)
    FROM due WHERE refunds.refund_id = due.refund_id
    RETURNING refunds.refund_id, job_id, amount_micros, reason
    """)
)
_IS_ITS_JOB = has_id("jobs.id", ":job_id")
APPLY = Query(
    text(f"""
    WITH held AS MATERIALIZED (
        SELECT id FROM jobs WHERE {_IS_ITS_JOB}
        FOR NO KEY UPDATE
    ), applied AS (
        UPDATE refunds SET applied_at = now() FROM held
        WHERE refund_id = :refund_id AND job_id = held.id AND applied_at IS NULL
        RETURNING job_id, amount_micros
    ), returned AS (
        UPDATE jobs SET returned_micros = returned_micros + amount_micros FROM applied
        WHERE {_IS_ITS_JOB} AND id = job_id
        RETURNING account_id, environment, model, created_at, amount_micros
    ), day_counted AS (
        UPDATE usage_daily AS usage SET refunded_micros = usage.refunded_micros + amount_micros
        FROM returned
        WHERE (usage.account_id, usage.environment, usage.model)
                = (returned.account_id, returned.environment, returned.model)
            AND day = CAST(created_at AT TIME ZONE 'UTC' AS date)
        RETURNING day
    ), hour_counted AS (
        UPDATE usage_hourly AS usage SET refunded_micros = usage.refunded_micros + amount_micros
        FROM returned
        WHERE (usage.account_id, usage.environment, usage.model)
                = (returned.account_id, returned.environment, returned.model)
            AND hour = date_trunc('hour', created_at, 'UTC') AND {once_locked("day_counted")}
    )
    SELECT FROM applied
    """)  # noqa: S608
)


class SqlRefunds:
    """What operators give back for completed jobs. Idempotent by refund id."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def register(self, wanted: WantedRefund) -> Refund:
        """Puts a refund on record with its audit entry, or returns the one that is: from then on it will be made.

        Refuses with JOB_NOT_FOUND, JOB_NOT_COMPLETED, REFUND_ABOVE_CHARGE or REFUND_MISMATCH; then nothing is.
        """
        ids = {"refund_id": wanted.refund_id, "job_id": wanted.job_id}
        async with self._pool.connection() as connection, connection.transaction():
            jobs = await fetch_within(connection, LOCK_JOB, job_id=wanted.job_id)
            known = await fetch_within(connection, _KNOWN, refund_id=wanted.refund_id)
            if known:
                return _repeated(wanted, Refund(**known[0]))
            if not jobs:
                raise job_not_found(wanted.job_id)
            if jobs[0]["status"] != Status.COMPLETED:
                raise refund_of_unfinished(**ids)
            [spoken_for] = await fetch_within(connection, _SPOKEN_FOR, job_id=wanted.job_id)
            left_micros = jobs[0]["charged_micros"] - spoken_for["micros"]
            amount_micros = left_micros if wanted.amount_micros is None else wanted.amount_micros
            if not 0 < amount_micros <= left_micros:
                raise refund_above_charge(**ids, left_micros=left_micros)
            registered = await fetch_within(
                connection,
                _REGISTER,
                refund_id=wanted.refund_id,
                job_id=wanted.job_id,
                amount_micros=amount_micros,
                own_time_seconds=OWN_TIME_SECONDS,
                action=REFUND_ACTION,
                **vars(wanted.note),
            )
            # Nothing registered: the id was taken in this very moment, and for another job, as this one is locked.
            if not registered:
                raise refund_mismatch(**ids)
            return Refund(**registered[0])

    async def take_due(self, *, limit: int) -> list[Refund]:
        """Returns refunds that were registered a while ago and are not applied, and keeps them from others for OWN_TIME_SECONDS."""
        rows = await fetch(self._pool, _TAKE_DUE, most=limit, own_time_seconds=OWN_TIME_SECONDS)
        return [Refund(**row) for row in rows]

    async def apply(self, refund_id: str, *, job_id: str) -> None:
        """Counts a refund to its job and to usage, once."""
        await fetch(self._pool, APPLY, refund_id=refund_id, job_id=job_id)


def _repeated(wanted: WantedRefund, known: Refund) -> Refund:
    if wanted.job_id != known.job_id or wanted.amount_micros not in (None, known.amount_micros):
        raise refund_mismatch(wanted.refund_id, wanted.job_id)
    return known
