"""Giving credits back for a completed job."""

from services.jobs.operations.settle_refund import settle_refund
from services.jobs.ports import Ledger
from services.jobs.store.refunds import Refund, SqlRefunds, WantedRefund


async def refund_job(wanted: WantedRefund, *, refunds: SqlRefunds, ledger: Ledger) -> Refund:
    """Gives credits back that a job was charged. Repeating it gives nothing more.

    Once it is on record it will be made, whether this call comes to its end or not.
    Refuses with JOB_NOT_FOUND, JOB_NOT_COMPLETED, REFUND_ABOVE_CHARGE or REFUND_MISMATCH; then nothing is.
    """
    refund = await refunds.register(wanted)
    await settle_refund(refund, refunds=refunds, ledger=ledger)
    return refund
