from services.billing.domain import Account
from services.billing.ports import Accounts
from services.common.ids import new_id


async def create_account(*, name: str, contract: str, accounts: Accounts) -> Account:
    """Opens an account with empty balances in both environments. Each call opens another one."""
    account = Account(account_id=new_id("acct"), name=name, contract=contract)
    await accounts.add(account)
    return account
