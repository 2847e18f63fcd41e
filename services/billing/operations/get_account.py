from services.billing.domain import Account, account_not_found
from services.billing.ports import Accounts


async def get_account(account_id: str, *, accounts: Accounts) -> Account:
    """Returns an account with what it has and may spend. Refuses with ACCOUNT_NOT_FOUND."""
    account = await accounts.get(account_id)
    if account is None:
        raise account_not_found(account_id)
    return account
