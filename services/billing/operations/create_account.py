from services.billing.domain import AuditNote, NewAccount
from services.billing.ports import Accounts
from services.common.ids import new_id


async def create_account(*, name: str, contract: str, note: AuditNote, accounts: Accounts) -> str:
    """Opens an account and returns its id. Each call opens another one.

    Its balances in both environments are empty, and TEST_DAY_MICROS is what it may spend in a day in test.
    """
    account = NewAccount(account_id=new_id("acct"), name=name, contract=contract)
    await accounts.add(account, note=note)
    return account.account_id
