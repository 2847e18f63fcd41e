from services.billing.domain import Hold, HoldChange, HoldRefusal, in_credits
from services.billing.ports import Holds
from services.common.errors import Reason, ServiceError

_SENTENCES = {
    Reason.HOLD_NOT_FOUND: "There is no hold {hold_id}.",
    Reason.HOLD_MISMATCH: "Hold {hold_id} was captured before with another amount.",
    Reason.HOLD_CAPTURED: "Hold {hold_id} was captured before.",
    Reason.HOLD_RELEASED: "Hold {hold_id} was released before.",
    Reason.HOLD_EXPIRED: "Hold {hold_id} expired; its credits are given back.",
}


async def change_hold(change: HoldChange, *, holds: Holds) -> Hold:
    """Confirms, captures or releases a hold. Repeating it returns the same hold.

    Refuses with HOLD_NOT_FOUND, HOLD_MISMATCH, AMOUNT_ABOVE_HOLD, or the state the hold has ended in.
    """
    answer = await holds.change(change)
    if isinstance(answer, Hold):
        return answer
    raise _refused(change, answer)


def _refused(change: HoldChange, refusal: HoldRefusal) -> ServiceError:
    if refusal.reason is not Reason.AMOUNT_ABOVE_HOLD:
        sentence = _SENTENCES[refusal.reason].format(hold_id=change.hold_id)
        return ServiceError(refusal.reason, sentence, hold_id=change.hold_id)
    assert refusal.hold is not None
    return ServiceError(
        refusal.reason,
        f"Hold {change.hold_id} is of {in_credits(refusal.hold.amount_micros)} credits; "
        f"{in_credits(change.captured_micros)} cannot be captured from it.",
        hold_id=change.hold_id,
        amount_micros=str(refusal.hold.amount_micros),
        wanted_micros=str(change.captured_micros),
    )
