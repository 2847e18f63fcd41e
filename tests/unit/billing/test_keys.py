import hashlib
from datetime import UTC, datetime
from typing import cast

import pytest

from services.billing.domain import Key, KeyRules, NewKey, Spending, SpendLimits
from services.billing.operations.keys import ALPHABET, create_key, draw_secret
from services.billing.store.accounts import SqlAccounts
from services.billing.store.keys import SqlKeys
from services.common.audit.note import AuditNote
from services.common.auth.key_forms import KEY_PREFIXES, KeyForm, KeyForms

FORMS = KeyForms(["a secret of the tests"])
NOTE = AuditNote(actor="tests", reason="welcome")


class OneAccount:
    """Of Accounts, what a new key needs: there is one account."""

    async def contract(self, account_id: str) -> str:
        return {"acct_1": "nextapi"}[account_id]


class KeptKeys:
    """Of Keys, what a new key needs. They remember what was added."""

    def __init__(self) -> None:
        self.added: list[NewKey] = []

    async def add(self, key: NewKey, *, note: AuditNote) -> Key:
        self.added.append(key)
        return Key(
            key_id=key.key_id,
            account_id=key.account_id,
            environment=key.environment,
            hint=key.hint,
            models=(),
            rules=KeyRules(),
            spending=Spending(limits=SpendLimits(), day_micros=0, month_micros=0),
            created_at=datetime(2026, 6, 29, tzinfo=UTC),
            disabled_at=None,
            previous_until=None,
        )


async def _create(keys: KeptKeys) -> tuple[str, Key]:
    return await create_key(
        account_id="acct_1",
        environment="test",
        note=NOTE,
        accounts=cast("SqlAccounts", OneAccount()),
        keys=cast("SqlKeys", keys),
        forms=FORMS,
    )


def test_a_key_is_prefix_random_part_and_checksum() -> None:
    characters = iter("abcdefghijklmnopqrstuvwxyz012345")

    secret = draw_secret("nextapi", "test", forms=FORMS, choose=lambda _: next(characters))

    assert secret.whole == "nxa_test_sk_abcdefghijklmnopqrstuvwxyz0123457f12922b18e74595"
    assert secret.sha256 == hashlib.sha256(secret.whole.encode()).digest()
    assert secret.hint == "nxa_test_sk_…4595"


@pytest.mark.parametrize(("contract", "environment"), KEY_PREFIXES)
def test_a_key_of_every_contract_and_environment_is_signed(contract: str, environment: str) -> None:
    assert FORMS.form_of(draw_secret(contract, environment, forms=FORMS).whole) is KeyForm.SIGNED


async def test_only_the_hash_of_a_key_is_stored() -> None:
    keys = KeptKeys()

    secret, _ = await _create(keys)

    [stored] = keys.added
    assert stored.sha256 == hashlib.sha256(secret.encode()).digest()
    assert secret not in str(stored)


async def test_no_two_keys_are_the_same() -> None:
    keys = KeptKeys()

    secrets = {(await _create(keys))[0] for _ in range(100)}

    assert len(secrets) == 100


def test_the_random_part_is_drawn_from_62_characters() -> None:
    assert len(set(ALPHABET)) == len(ALPHABET) == 62
