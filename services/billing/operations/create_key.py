import hashlib
import secrets
import string
from collections.abc import Callable

from services.billing.domain import Key, NewKey, account_not_found
from services.billing.ports import Accounts, Keys
from services.common.authentication import KEY_PREFIXES, RANDOM_LENGTH, key_checksum
from services.common.ids import new_id

ALPHABET = string.ascii_letters + string.digits
HINT_ENDING_LENGTH = 4


async def create_key(
    *,
    account_id: str,
    environment: str,
    accounts: Accounts,
    keys: Keys,
    choose: Callable[[str], str] = secrets.choice,
) -> tuple[str, Key]:
    """Issues a key and returns it whole, this once. Each call issues another one.

    Only its SHA-256 is stored. Refuses with ACCOUNT_NOT_FOUND.
    """
    contract = await accounts.contract(account_id)
    if contract is None:
        raise account_not_found(account_id)
    prefix = KEY_PREFIXES[contract, environment]
    body = prefix + "".join(choose(ALPHABET) for _ in range(RANDOM_LENGTH))
    secret = body + key_checksum(body)
    new = NewKey(
        key_id=new_id("key"),
        account_id=account_id,
        environment=environment,
        sha256=hashlib.sha256(secret.encode()).digest(),
        hint=f"{prefix}…{secret[-HINT_ENDING_LENGTH:]}",
    )
    return secret, await keys.add(new)
