"""API keys: issued once, stored as a hash, gone everywhere within the time of a cache."""

import hashlib

import pytest
from reelgate.admin.v1 import key_admin_service_pb2
from reelgate.internal.keys.v1 import key_service_pb2

from services.billing.store.keys import SqlKeys
from services.common.authentication import CACHE_SECONDS, KEY_PREFIXES, KeyCache, is_well_formed
from services.common.database import open_pool
from services.common.errors import Reason, ServiceError
from tests.integration.billing.running import Billing


async def _create(
    billing: Billing, account_id: str, environment: str = "live"
) -> key_admin_service_pb2.CreateKeyResponse:
    return await billing.key_admin.CreateKey(
        key_admin_service_pb2.CreateKeyRequest(account_id=account_id, environment=environment)
    )


async def _look_up(billing: Billing, secret: str) -> key_service_pb2.LookUpKeyResponse:
    digest = hashlib.sha256(secret.encode()).digest()
    return await billing.keys.LookUpKey(key_service_pb2.LookUpKeyRequest(key_sha256=digest))


@pytest.mark.parametrize(("contract", "environment"), KEY_PREFIXES)
async def test_a_new_key_has_the_form_of_its_contract_and_is_found_by_its_hash(
    billing: Billing, contract: str, environment: str
) -> None:
    account = await billing.account(contract=contract)

    created = await _create(billing, account, environment)

    assert is_well_formed(created.secret)
    assert created.secret.startswith(KEY_PREFIXES[contract, environment])
    assert created.key.hint == f"{KEY_PREFIXES[contract, environment]}…{created.secret[-4:]}"
    assert created.key.environment == environment
    assert not created.key.HasField("disabled_at")
    assert await _look_up(billing, created.secret) == key_service_pb2.LookUpKeyResponse(
        key_id=created.key.key_id, account_id=account, environment=environment, contract=contract
    )


async def test_the_secret_of_a_key_is_not_in_the_database(billing: Billing) -> None:
    created = await _create(billing, await billing.account())

    [row] = await billing.rows("SELECT * FROM api_keys")

    assert row["key_sha256"] == hashlib.sha256(created.secret.encode()).digest()
    assert created.secret not in str(row)


async def test_keys_are_listed_newest_first_without_their_secrets(billing: Billing) -> None:
    account = await billing.account()
    created = [await _create(billing, account, environment) for environment in ("live", "test", "live")]
    await _create(billing, await billing.account())

    listed = await billing.key_admin.ListKeys(key_admin_service_pb2.ListKeysRequest(account_id=account))

    assert list(listed.keys) == [answer.key for answer in reversed(created)]


async def test_keys_of_an_unknown_account_are_refused(billing: Billing) -> None:
    for call in (
        _create(billing, "acct_nobody"),
        billing.key_admin.ListKeys(key_admin_service_pb2.ListKeysRequest(account_id="acct_nobody")),
    ):
        with pytest.raises(ServiceError) as refused:
            await call
        assert refused.value.reason is Reason.ACCOUNT_NOT_FOUND


async def test_a_disabled_key_is_not_found_and_disabling_it_again_changes_nothing(billing: Billing) -> None:
    created = await _create(billing, await billing.account())
    request = key_admin_service_pb2.DisableKeyRequest(key_id=created.key.key_id)

    first = await billing.key_admin.DisableKey(request)
    again = await billing.key_admin.DisableKey(request)

    assert first.key.HasField("disabled_at")
    assert again == first
    with pytest.raises(ServiceError) as refused:
        await _look_up(billing, created.secret)
    assert refused.value.reason is Reason.KEY_INVALID


async def test_disabling_an_unknown_key_is_refused(billing: Billing) -> None:
    with pytest.raises(ServiceError) as refused:
        await billing.key_admin.DisableKey(key_admin_service_pb2.DisableKeyRequest(key_id="key_none"))

    assert refused.value.reason is Reason.KEY_NOT_FOUND


async def test_an_unknown_key_is_not_found(billing: Billing) -> None:
    with pytest.raises(ServiceError) as refused:
        await _look_up(billing, "sk_seedancee2_live_unknown")

    assert refused.value.reason is Reason.KEY_INVALID


async def test_keys_of_a_suspended_account_are_not_found(billing: Billing) -> None:
    created = await _create(billing, await billing.account())
    await billing.rows("UPDATE accounts SET suspended_at = now()")

    with pytest.raises(ServiceError) as refused:
        await _look_up(billing, created.secret)

    assert refused.value.reason is Reason.KEY_INVALID


async def test_a_disabled_key_stops_working_within_the_time_of_the_cache(billing: Billing) -> None:
    created = await _create(billing, await billing.account())
    seconds = 1000.0
    async with open_pool(billing.database_url, name="keys", connections_max=1) as pool:
        cache = KeyCache(SqlKeys(pool).find, monotonic=lambda: seconds)
        before = await cache.find(created.secret)
        await billing.key_admin.DisableKey(key_admin_service_pb2.DisableKeyRequest(key_id=created.key.key_id))

        seconds += CACHE_SECONDS
        after = await cache.find(created.secret)

    assert before is not None
    assert before.key_id == created.key.key_id
    assert after is None
    assert CACHE_SECONDS < 5
