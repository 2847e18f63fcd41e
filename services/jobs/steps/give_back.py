"""A hold of which nothing is to be kept: whatever was done to it before, the customer has all of it."""

from services.common.errors import Reason, ServiceError
from services.jobs.ports import Ledger

NOTHING_KEPT = (Reason.HOLD_EXPIRED, Reason.HOLD_NOT_FOUND)
REFUND_REASON = "The job failed after its credits had been taken."


async def give_back(hold_id: str, *, ledger: Ledger, reason: str = REFUND_REASON) -> None:
    """Releases a hold, or refunds what was captured of it. Repeating it gives nothing more."""
    try:
        await ledger.release(hold_id)
    except ServiceError as error:
        if error.reason is Reason.HOLD_CAPTURED:
            await return_captured(hold_id, ledger=ledger, reason=reason)
        elif error.reason not in NOTHING_KEPT:
            raise


async def return_captured(hold_id: str, *, ledger: Ledger, reason: str) -> None:
    """Refunds what was captured of a hold and not refunded yet."""
    hold = await ledger.find(hold_id)
    assert hold is not None, "a captured hold is never deleted"
    if left_micros := hold.captured_micros - hold.refunded_micros:
        # Of the same hold with the same refunds before it, the same refund.
        refund_id = f"return_{hold_id}_{hold.refunded_micros}"
        await ledger.refund(refund_id, hold_id=hold_id, amount_micros=left_micros, reason=reason)
