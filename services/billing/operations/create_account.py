from services.billing.domain import AuditNote, NewAccount
from services.billing.ports import Accounts
from services.common.ids import new_id


async def create_account(*, name: str, contract: str, note: AuditNote, accounts: Accounts) -> str:
    """Opens an account with empty balances in both environments. Each call opens another one. Returns its id."""
    account = NewAccount(account_id=new_id("acct"), name=name, contract=contract)
    await accounts.add(account, note=note)
    return account.account_id
