from services.billing.domain import AuditNote, Spending, SpendLimits, account_not_found
from services.billing.ports import Accounts


async def set_account_limits(
    account_id: str, *, environment: str, limits: SpendLimits, note: AuditNote, accounts: Accounts
) -> Spending:
    """Replaces what an account may spend in one environment, from the next hold on.

    Repeating it changes nothing. Refuses with ACCOUNT_NOT_FOUND.
    """
    spending = await accounts.set_limits(account_id, environment=environment, limits=limits, note=note)
    if spending is None:
        raise account_not_found(account_id)
    return spending
