"""Making a refund that is on record: billing returns the credits, then the job and usage count them."""

from services.jobs.ports import Ledger
from services.jobs.store.refunds import Refund, SqlRefunds


async def settle_refund(refund: Refund, *, refunds: SqlRefunds, ledger: Ledger) -> None:
    """Makes a refund that is on record. After a crash it is still on record; repeating it is harmless."""
    await ledger.refund(
        refund.refund_id,
        hold_id=refund.job_id,
        amount_micros=refund.amount_micros,
        reason=refund.reason,
    )
    await refunds.apply(refund.refund_id)
