from services.billing.domain import Account, AuditNote, account_not_found
from services.billing.ports import Accounts


async def resume_account(account_id: str, *, note: AuditNote, accounts: Accounts) -> Account:
    """Lets the keys of a suspended account work again.

    Repeating it changes nothing. Refuses with ACCOUNT_NOT_FOUND.
    """
    account = await accounts.resume(account_id, note=note)
    if account is None:
        raise account_not_found(account_id)
    return account
