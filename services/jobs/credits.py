"""The credits of a job's hold, when the hold is lost or the job is to pay nothing. Each function may be repeated."""

from services.common.errors import Reason, ServiceError
from services.jobs.domain.requests import Owner
from services.jobs.ports import Ledger

UNPAYABLE = frozenset({Reason.CREDITS_INSUFFICIENT, Reason.SPEND_LIMIT_EXCEEDED, Reason.ACCOUNT_NOT_FOUND})
"""Why billing refuses to hold the price of a job."""
HOLD_GONE = frozenset({Reason.HOLD_EXPIRED, Reason.HOLD_RELEASED})
"""The hold expired, or a request released it that did not learn that its job had been stored."""
NOTHING_HELD = (Reason.HOLD_EXPIRED, Reason.HOLD_NOT_FOUND)
REFUND_REASON = "The job failed after its credits had been taken."


async def recreate_hold(
    job_id: str, *, owner: Owner, key_id: str, amount_micros: int, ledger: Ledger
) -> None:
    """Holds the price of an accepted job whose hold billing has lost. Refuses with one of UNPAYABLE.

    If billing does not know the key either, the hold counts towards the account alone.
    """
    try:
        await ledger.hold(job_id, owner=owner, key_id=key_id, amount_micros=amount_micros)
    except ServiceError as error:
        if error.reason is not Reason.KEY_NOT_FOUND:
            raise
        await ledger.hold(job_id, owner=owner, key_id="", amount_micros=amount_micros)


async def release_or_refund(hold_id: str, *, ledger: Ledger, reason: str = REFUND_REASON) -> None:
    """Releases a hold or, if it was captured, refunds what was captured."""
    try:
        await ledger.release(hold_id)
    except ServiceError as error:
        if error.reason is Reason.HOLD_CAPTURED:
            await refund_captured(hold_id, ledger=ledger, reason=reason)
        elif error.reason not in NOTHING_HELD:
            raise


async def refund_captured(hold_id: str, *, ledger: Ledger, reason: str) -> None:
    """Refunds what was captured of a hold and not refunded yet."""
    hold = await ledger.find(hold_id)
    assert hold is not None, "a captured hold is never deleted"
    if left_micros := hold.captured_micros - hold.refunded_micros:
        # A repetition finds the same refunds before it and so makes the same id.
        refund_id = f"return_{hold_id}_{hold.refunded_micros}"
        await ledger.refund(refund_id, hold_id=hold_id, amount_micros=left_micros, reason=reason)
