from services.billing.domain import Balance, account_not_found
from services.billing.ports import Accounts


async def get_balance(*, account_id: str, environment: str, accounts: Accounts) -> Balance:
    """Returns what an account has in one environment. Refuses with ACCOUNT_NOT_FOUND."""
    balance = await accounts.balance(account_id=account_id, environment=environment)
    if balance is None:
        raise account_not_found(account_id)
    return balance
