from services.billing.domain import Key, account_not_found
from services.billing.ports import Accounts, Keys

KEYS_LISTED_MAX = 100


async def list_keys(account_id: str, *, accounts: Accounts, keys: Keys) -> list[Key]:
    """Returns the newest KEYS_LISTED_MAX keys of an account, newest first. Refuses with ACCOUNT_NOT_FOUND."""
    if await accounts.contract(account_id) is None:
        raise account_not_found(account_id)
    return await keys.of_account(account_id, keys_max=KEYS_LISTED_MAX)
