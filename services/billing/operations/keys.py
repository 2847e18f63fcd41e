"""API keys and their secrets."""

import hashlib
import secrets
import string
from collections.abc import Callable
from typing import NamedTuple

from services.billing.domain import Key, NewKey
from services.billing.store.accounts import SqlAccounts
from services.billing.store.keys import SqlKeys
from services.common.audit.note import AuditNote
from services.common.auth.key_forms import KEY_PREFIXES, RANDOM_LENGTH, KeyForms
from services.common.ids import new_id

ALPHABET = string.ascii_letters + string.digits
HINT_ENDING_LENGTH = 4


class Secret(NamedTuple):
    """A key, whole, and what of it is stored."""

    whole: str
    sha256: bytes
    hint: str


async def create_key(
    *,
    account_id: str,
    environment: str,
    note: AuditNote,
    accounts: SqlAccounts,
    keys: SqlKeys,
    forms: KeyForms,
) -> tuple[str, Key]:
    """Issues a key and returns it whole, this once. Each call issues another one.

    Only its SHA-256 is stored. Refuses with ACCOUNT_NOT_FOUND.
    """
    secret = draw_secret(await accounts.contract(account_id), environment, forms=forms)
    new = NewKey(
        key_id=new_id("key"),
        account_id=account_id,
        environment=environment,
        sha256=secret.sha256,
        hint=secret.hint,
    )
    return secret.whole, await keys.add(new, note=note)


async def rotate_key(
    key_id: str,
    *,
    overlap_seconds: int,
    note: AuditNote,
    accounts: SqlAccounts,
    keys: SqlKeys,
    forms: KeyForms,
) -> tuple[str, Key]:
    """Gives a key a new secret and returns it whole, this once. Each call gives it another one.

    The secret before works for the overlap; one from an earlier rotation stops at once.
    Refuses with KEY_NOT_FOUND or KEY_DISABLED.
    """
    key = await keys.get(key_id)
    secret = draw_secret(await accounts.contract(key.account_id), key.environment, forms=forms)
    rotated = await keys.rotate(
        key_id, sha256=secret.sha256, hint=secret.hint, overlap_seconds=overlap_seconds, note=note
    )
    return secret.whole, rotated


async def list_keys(
    account_id: str, *, before_id: str, keys_max: int, accounts: SqlAccounts, keys: SqlKeys
) -> list[Key]:
    """Returns the newest keys of an account that are older than one ("": of all). Refuses with ACCOUNT_NOT_FOUND."""
    await accounts.contract(account_id)
    return await keys.of_account(account_id, before_id=before_id, keys_max=keys_max)


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
