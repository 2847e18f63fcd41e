from services.billing.domain import (
    MICROS_PER_CREDIT,
    Hold,
    HoldRefusal,
    NewHold,
    account_not_found,
    in_credits,
)
from services.billing.ports import Holds
from services.common.errors import Reason, ServiceError


async def create_hold(new: NewHold, *, holds: Holds) -> Hold:
    """Sets credits aside until the hold expires or is confirmed. Repeating it returns the same hold.

    Refuses with CREDITS_INSUFFICIENT, ACCOUNT_NOT_FOUND or HOLD_MISMATCH.
    """
    answer = await holds.create(new)
    if isinstance(answer, Hold):
        return answer
    raise _refused(new, answer)


def _refused(new: NewHold, refusal: HoldRefusal) -> ServiceError:
    if refusal.reason is Reason.CREDITS_INSUFFICIENT:
        return _credits_insufficient(new.amount_micros, refusal.available_micros)
    if refusal.reason is Reason.ACCOUNT_NOT_FOUND:
        return account_not_found(new.account_id)
    return ServiceError(
        refusal.reason,
        f"Hold {new.hold_id} was made before for another account, environment or amount.",
        hold_id=new.hold_id,
    )


def _credits_insufficient(needed_micros: int, available_micros: int) -> ServiceError:
    noun = "credit" if needed_micros == MICROS_PER_CREDIT else "credits"
    verb = "is" if available_micros == MICROS_PER_CREDIT else "are"
    return ServiceError(
        Reason.CREDITS_INSUFFICIENT,
        f"This task needs {in_credits(needed_micros)} {noun}; "
        f"{in_credits(available_micros)} {verb} available. Please top up.",
        needed_micros=str(needed_micros),
        available_micros=str(available_micros),
    )
