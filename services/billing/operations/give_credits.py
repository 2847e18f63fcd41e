from services.billing.domain import BALANCE_MICROS_MAX, Gift, GiftRefusal, account_not_found, in_credits
from services.billing.ports import Accounts
from services.common.errors import Reason, ServiceError, invalid_field


async def give_credits(gift: Gift, *, accounts: Accounts) -> int:
    """Adds credits to an account, or takes them. Repeating it changes nothing. Returns the micro-credits available after it.

    Refuses with ACCOUNT_NOT_FOUND, GRANT_MISMATCH, CORRECTION_MISMATCH, CREDITS_INSUFFICIENT, or INVALID_FIELD
    above BALANCE_MICROS_MAX.
    """
    answer = await accounts.give(gift)
    if isinstance(answer, int):
        return answer
    raise _refused(gift, answer)


def _refused(gift: Gift, refusal: GiftRefusal) -> ServiceError:
    if refusal.reason is Reason.ACCOUNT_NOT_FOUND:
        return account_not_found(gift.account_id)
    if refusal.reason is Reason.INVALID_FIELD:
        rule = f"must not take the balance above {in_credits(BALANCE_MICROS_MAX)} credits"
        return invalid_field("amount_micros", rule, gift.amount_micros)
    if refusal.reason is Reason.CREDITS_INSUFFICIENT:
        return ServiceError(
            refusal.reason,
            f"Only {in_credits(refusal.available_micros)} credits are available; "
            f"{in_credits(-gift.amount_micros)} cannot be taken.",
            available_micros=str(refusal.available_micros),
        )
    return ServiceError(
        refusal.reason,
        f"{gift.kind.capitalize()} {gift.gift_id} was made before for another account, environment or amount.",
        **{f"{gift.kind}_id": gift.gift_id},
    )
