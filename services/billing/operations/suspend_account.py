from services.billing.domain import Account, AuditNote, account_not_found
from services.billing.ports import Accounts


async def suspend_account(account_id: str, *, note: AuditNote, accounts: Accounts) -> Account:
    """Stops every key of an account from working. Tasks under way go on.

    Repeating it changes nothing. Refuses with ACCOUNT_NOT_FOUND.
    """
    account = await accounts.suspend(account_id, note=note)
    if account is None:
        raise account_not_found(account_id)
    return account
