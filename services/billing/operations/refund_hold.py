from services.billing.domain import Hold, HoldRefusal, Refund, in_credits
from services.billing.ports import Holds
from services.common.errors import Reason, ServiceError


async def refund_hold(refund: Refund, *, holds: Holds) -> Hold:
    """Gives back what was captured of a hold, in whole or in part. Repeating it gives nothing more.

    Refuses with HOLD_NOT_FOUND, HOLD_NOT_CAPTURED, REFUND_ABOVE_CHARGE or REFUND_MISMATCH.
    """
    answer = await holds.refund(refund)
    if isinstance(answer, Hold):
        return answer
    raise ServiceError(
        answer.reason,
        _sentence(refund, answer),
        hold_id=refund.hold_id,
        refund_id=refund.refund_id,
    )


def _sentence(refund: Refund, refusal: HoldRefusal) -> str:
    if refusal.reason is Reason.HOLD_NOT_FOUND:
        return f"There is no hold {refund.hold_id}."
    if refusal.reason is Reason.REFUND_MISMATCH:
        return f"Refund {refund.refund_id} was made before for another hold or amount."
    assert refusal.hold is not None
    if refusal.reason is Reason.HOLD_NOT_CAPTURED:
        return f"Hold {refund.hold_id} is {refusal.hold.state}: nothing was captured that could be refunded."
    left = refusal.hold.captured_micros - refusal.hold.refunded_micros
    return (
        f"Of hold {refund.hold_id}, {in_credits(left)} captured credits are left; "
        f"{in_credits(refund.amount_micros)} cannot be refunded."
    )
