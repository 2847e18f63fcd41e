import hashlib
import secrets
import string
from collections.abc import Callable
from typing import NamedTuple

from services.billing.domain import AuditNote, Key, NewKey, account_not_found
from services.billing.ports import Accounts, Keys
from services.common.ids import new_id
from services.common.key_forms import KEY_PREFIXES, RANDOM_LENGTH, KeyForms

ALPHABET = string.ascii_letters + string.digits
HINT_ENDING_LENGTH = 4


class Secret(NamedTuple):
    """A key, whole, and what of it is stored."""

    whole: str
    sha256: bytes
    hint: str


async def create_key(
    *, account_id: str, environment: str, note: AuditNote, accounts: Accounts, keys: Keys, forms: KeyForms
) -> tuple[str, Key]:
    """Issues a key and returns it whole, this once. Each call issues another one.

    Only its SHA-256 is stored. Refuses with ACCOUNT_NOT_FOUND.
    """
    contract = await accounts.contract(account_id)
    if contract is None:
        raise account_not_found(account_id)
    secret = draw_secret(contract, environment, forms=forms)
    new = NewKey(
        key_id=new_id("key"),
        account_id=account_id,
        environment=environment,
        sha256=secret.sha256,
        hint=secret.hint,
    )
    return secret.whole, await keys.add(new, note=note)


def draw_secret(
    contract: str, environment: str, *, forms: KeyForms, choose: Callable[[str], str] = secrets.choice
) -> Secret:
    """Returns a key in the form of its contract and environment: prefix, random part and signed checksum."""
    prefix = KEY_PREFIXES[contract, environment]
    body = prefix + "".join(choose(ALPHABET) for _ in range(RANDOM_LENGTH))
    whole = forms.complete(body)
    return Secret(
        whole=whole,
        sha256=hashlib.sha256(whole.encode()).digest(),
        hint=f"{prefix}…{whole[-HINT_ENDING_LENGTH:]}",
    )
