from services.billing.domain import BALANCE_MICROS_MAX, Grant, account_not_found, in_credits
from services.billing.ports import Accounts
from services.common.errors import Reason, ServiceError, invalid_field


async def grant_credits(grant: Grant, *, accounts: Accounts) -> int:
    """Adds credits to an account. Repeating it adds nothing. Returns the micro-credits available after it.

    Refuses with ACCOUNT_NOT_FOUND, GRANT_MISMATCH, or INVALID_FIELD above BALANCE_MICROS_MAX.
    """
    answer = await accounts.grant(grant)
    if isinstance(answer, int):
        return answer
    raise _refused(grant, answer)


def _refused(grant: Grant, reason: Reason) -> ServiceError:
    if reason is Reason.ACCOUNT_NOT_FOUND:
        return account_not_found(grant.account_id)
    if reason is Reason.INVALID_FIELD:
        rule = f"must not take the balance above {in_credits(BALANCE_MICROS_MAX)} credits"
        return invalid_field("amount_micros", rule, grant.amount_micros)
    return ServiceError(
        reason,
        f"Grant {grant.grant_id} was made before for another account, environment or amount.",
        grant_id=grant.grant_id,
    )
