"""Giving credits back for completed jobs: put on record first, then made by billing, then counted."""

from services.jobs.ports import Ledger
from services.jobs.store.refunds import Refund, SqlRefunds, WantedRefund


async def refund_job(wanted: WantedRefund, *, refunds: SqlRefunds, ledger: Ledger) -> Refund:
    """Gives credits back that a job was charged. Repeating it gives nothing more.

    Once it is on record it will be made, even if this call is cut off.
    Refuses with JOB_NOT_FOUND, JOB_NOT_COMPLETED, REFUND_ABOVE_CHARGE or REFUND_MISMATCH; then nothing is.
    """
    refund = await refunds.register(wanted)
    await settle_refund(refund, refunds=refunds, ledger=ledger)
    return refund


async def settle_refund(refund: Refund, *, refunds: SqlRefunds, ledger: Ledger) -> None:
    """Makes a refund that is on record: billing returns the credits, then the job and usage count them.

    After a crash it is still on record; repeating it is harmless.
    """
    await ledger.refund(
        refund.refund_id,
        hold_id=refund.job_id,
        amount_micros=refund.amount_micros,
        reason=refund.reason,
    )
    await refunds.apply(refund.refund_id, job_id=refund.job_id)
