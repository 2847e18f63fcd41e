"""What billing refuses, and the sentence that says so."""

from services.billing.domain import (
    BALANCE_MICROS_MAX,
    Adjustment,
    AdjustmentRefusal,
    HoldChange,
    HoldRefusal,
    LimitPeriod,
    LimitReached,
    NewHold,
    Refund,
)
from services.common.errors import Reason, ServiceError, invalid_field
from services.common.money import MICROS_PER_CREDIT, in_credits

_HOLD_CHANGE_SENTENCES = {
    Reason.HOLD_NOT_FOUND: "There is no hold {hold_id}.",
    Reason.HOLD_MISMATCH: "Hold {hold_id} was already captured with another amount.",
    Reason.HOLD_CAPTURED: "Hold {hold_id} was already captured.",
    Reason.HOLD_RELEASED: "Hold {hold_id} was already released.",
    Reason.HOLD_EXPIRED: "Hold {hold_id} expired; its credits were returned.",
}


def account_not_found(account_id: str) -> ServiceError:
    """Returns the refusal of an account that does not exist."""
    return ServiceError(Reason.ACCOUNT_NOT_FOUND, f"There is no account {account_id}.", account_id=account_id)


def key_not_found(key_id: str) -> ServiceError:
    """Returns the refusal of a key that does not exist."""
    return ServiceError(Reason.KEY_NOT_FOUND, f"There is no key {key_id}.", key_id=key_id)


def key_disabled(key_id: str) -> ServiceError:
    """Returns the refusal to rotate a disabled key."""
    return ServiceError(Reason.KEY_DISABLED, f"Key {key_id} is disabled. Create another one.", key_id=key_id)


def hold_not_found(hold_id: str) -> ServiceError:
    """Returns the refusal of a hold that does not exist."""
    return ServiceError(Reason.HOLD_NOT_FOUND, f"There is no hold {hold_id}.", hold_id=hold_id)


def price_mismatch(version: str, message: str) -> ServiceError:
    """Returns the refusal of a price version that contradicts a stored one."""
    return ServiceError(Reason.PRICE_MISMATCH, message, version=version)


def hold_not_created(new: NewHold, refusal: HoldRefusal) -> ServiceError:
    """Returns why the ledger did not create a hold."""
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
        f"Hold {new.hold_id} was already made for another account, environment or amount.",
        hold_id=new.hold_id,
    )


def hold_not_changed(change: HoldChange, refusal: HoldRefusal) -> ServiceError:
    """Returns why the ledger did not confirm, capture or release a hold."""
    if refusal.reason is not Reason.AMOUNT_ABOVE_HOLD:
        sentence = _HOLD_CHANGE_SENTENCES[refusal.reason].format(hold_id=change.hold_id)
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


def hold_not_refunded(refund: Refund, refusal: HoldRefusal) -> ServiceError:
    """Returns why the ledger did not refund what was captured."""
    sentence = _refund_sentence(refund, refusal)
    return ServiceError(refusal.reason, sentence, hold_id=refund.hold_id, refund_id=refund.refund_id)


def balance_not_adjusted(adjustment: Adjustment, refusal: AdjustmentRefusal) -> ServiceError:
    """Returns why the ledger did not add or take credits."""
    if refusal.reason is Reason.ACCOUNT_NOT_FOUND:
        return account_not_found(adjustment.account_id)
    if refusal.reason is Reason.INVALID_FIELD:
        rule = f"must not take the balance above {in_credits(BALANCE_MICROS_MAX)} credits"
        return invalid_field("amount_micros", rule, adjustment.amount_micros)
    if refusal.reason is Reason.CREDITS_INSUFFICIENT:
        return ServiceError(
            refusal.reason,
            f"Only {in_credits(refusal.available_micros)} credits are available; "
            f"{in_credits(-adjustment.amount_micros)} cannot be taken.",
            available_micros=str(refusal.available_micros),
        )
    kind, adjustment_id = adjustment.kind, adjustment.adjustment_id
    return ServiceError(
        refusal.reason,
        f"{kind.capitalize()} {adjustment_id} was already made for another account, environment or amount.",
        **{f"{kind}_id": adjustment_id},
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


def _refund_sentence(refund: Refund, refusal: HoldRefusal) -> str:
    if refusal.reason is Reason.HOLD_NOT_FOUND:
        return f"There is no hold {refund.hold_id}."
    if refusal.reason is Reason.REFUND_MISMATCH:
        return f"Refund {refund.refund_id} was already made for another hold or amount."
    assert refusal.hold is not None
    if refusal.reason is Reason.HOLD_NOT_CAPTURED:
        return f"Hold {refund.hold_id} is {refusal.hold.state}: nothing was captured that could be refunded."
    left = refusal.hold.captured_micros - refusal.hold.refunded_micros
    return (
        f"Of hold {refund.hold_id}, {in_credits(left)} captured credits are left; "
        f"{in_credits(refund.amount_micros)} cannot be refunded."
    )
