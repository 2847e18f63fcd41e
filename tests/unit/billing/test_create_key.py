import hashlib
from datetime import UTC, datetime

from services.billing.domain import Account, Balance, Grant, Key, NewKey
from services.billing.operations.create_key import ALPHABET, create_key
from services.common.authentication import Caller, is_well_formed
from services.common.errors import Reason


class OneAccount:
    """Accounts, of which there is one."""

    async def add(self, account: Account) -> None:
        raise NotImplementedError

    async def contract(self, account_id: str) -> str | None:
        return {"acct_1": "nextapi"}.get(account_id)

    async def balance(self, *, account_id: str, environment: str) -> Balance | None:
        raise NotImplementedError

    async def grant(self, grant: Grant) -> int | Reason:
        raise NotImplementedError


class KeptKeys:
    """Keys that remember what was added."""

    def __init__(self) -> None:
        self.added: list[NewKey] = []

    async def add(self, key: NewKey) -> Key:
        self.added.append(key)
        return Key(
            key_id=key.key_id,
            environment=key.environment,
            hint=key.hint,
            created_at=datetime(2026, 6, 29, tzinfo=UTC),
            disabled_at=None,
        )

    async def of_account(self, account_id: str, *, keys_max: int) -> list[Key]:
        raise NotImplementedError

    async def disable(self, key_id: str) -> Key | None:
        raise NotImplementedError

    async def find(self, sha256: bytes) -> Caller | None:
        raise NotImplementedError


async def _create(keys: KeptKeys) -> tuple[str, Key]:
    return await create_key(account_id="acct_1", environment="test", accounts=OneAccount(), keys=keys)


async def test_a_key_is_prefix_random_part_and_checksum() -> None:
    characters = iter("abcdefghijklmnopqrstuvwxyz012345")

    secret, key = await create_key(
        account_id="acct_1",
        environment="test",
        accounts=OneAccount(),
        keys=KeptKeys(),
        choose=lambda _: next(characters),
    )

    assert secret == "nxa_test_sk_abcdefghijklmnopqrstuvwxyz012345fa64c445"
    assert is_well_formed(secret)
    assert key.hint == "nxa_test_sk_…c445"


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
