from services.billing.domain import (
    MICROS_PER_CREDIT,
    Hold,
    HoldRefusal,
    LimitPeriod,
    LimitReached,
    NewHold,
    account_not_found,
    in_credits,
)
from services.billing.ports import Holds
from services.common.errors import Reason, ServiceError


async def create_hold(new: NewHold, *, holds: Holds) -> Hold:
    """Sets credits aside until the hold expires or is confirmed. Repeating it returns the same hold.

    A test balance that falls short refills itself to STANDING_TEST_MICROS first, if that is enough.

    Refuses with CREDITS_INSUFFICIENT, SPEND_LIMIT_EXCEEDED, ACCOUNT_NOT_FOUND, KEY_NOT_FOUND or HOLD_MISMATCH.
    """
    answer = await holds.create(new)
    if isinstance(answer, Hold):
        return answer
    raise _refused(new, answer)


def _refused(new: NewHold, refusal: HoldRefusal) -> ServiceError:
    if refusal.reason is Reason.CREDITS_INSUFFICIENT:
        return _credits_insufficient(new.amount_micros, refusal.available_micros)
    if refusal.reason is Reason.SPEND_LIMIT_EXCEEDED:
        assert refusal.limit is not None
        return _limit_exceeded(new, refusal.limit)
    if refusal.reason is Reason.ACCOUNT_NOT_FOUND:
        return account_not_found(new.account_id)
    if refusal.reason is Reason.KEY_NOT_FOUND:
        return ServiceError(
            refusal.reason,
            f"Account {new.account_id} has no key {new.key_id} in {new.environment}.",
            key_id=str(new.key_id),
        )
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


def _limit_exceeded(new: NewHold, limit: LimitReached) -> ServiceError:
    whose = "this key" if limit.subject_id == new.key_id else "this account"
    bound = in_credits(limit.limit_micros)
    if limit.period is LimitPeriod.JOB:
        rule = f"{whose} may spend at most {bound} on one task"
    else:
        left = in_credits(max(0, limit.limit_micros - limit.spent_micros))
        rule = f"of the {bound} that {whose} may spend in a UTC {limit.period}, {left} are left"
    return ServiceError(
        Reason.SPEND_LIMIT_EXCEEDED,
        f"This task needs {in_credits(new.amount_micros)} credits; {rule}.",
        subject_id=limit.subject_id,
        period=limit.period,
        limit_micros=str(limit.limit_micros),
        spent_micros=str(limit.spent_micros),
        needed_micros=str(new.amount_micros),
    )
