"""API keys: issued once, stored as a hash, gone everywhere within the time of a cache."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from reelgate.admin.v1 import key_admin_service_pb2
from reelgate.internal.keys.v1 import key_service_pb2

from services.billing.store.keys import _FIND_KEY, SqlKeys
from services.common.auth.authentication import (
    CACHE_SECONDS,
    KeyCache,
)
from services.common.auth.key_forms import KEY_PREFIXES, KeyForm, KeyForms
from services.common.errors import Reason, ServiceError
from services.common.postgres.database import open_pool
from services.common.rpc.enums import environment_of
from tests.conftest import KEY_SECRET
from tests.integration.billing.running import NOTE, Billing
from tests.patience import PATIENCE_SECONDS


async def _disable(billing: Billing, key_id: str) -> key_admin_service_pb2.Key:
    request = key_admin_service_pb2.DisableKeyRequest(key_id=key_id, audit=NOTE)
    return (await billing.key_admin.DisableKey(request)).key


async def _rotate(
    billing: Billing, key_id: str, *, overlap_seconds: int = 3600
) -> key_admin_service_pb2.RotateKeyResponse:
    return await billing.key_admin.RotateKey(
        key_admin_service_pb2.RotateKeyRequest(key_id=key_id, overlap_seconds=overlap_seconds, audit=NOTE)
    )


async def _set_models(billing: Billing, key_id: str, *models: str) -> key_admin_service_pb2.Key:
    request = key_admin_service_pb2.SetKeyModelsRequest(key_id=key_id, models=models, audit=NOTE)
    return (await billing.key_admin.SetKeyModels(request)).key


async def _list(billing: Billing, account_id: str) -> list[key_admin_service_pb2.Key]:
    request = key_admin_service_pb2.ListKeysRequest(account_id=account_id)
    return list((await billing.key_admin.ListKeys(request)).keys)


async def test_the_keys_of_an_account_are_paged_without_a_gap(billing: Billing) -> None:
    account = await billing.account()
    issued = [made.key.key_id for made in [await billing.new_key(account) for _ in range(5)]]
    await billing.rows("UPDATE api_keys SET created_at = date_trunc('hour', created_at)")

    found: list[str] = []
    token = ""
    for _ in range(3):
        page = await billing.key_admin.ListKeys(
            key_admin_service_pb2.ListKeysRequest(account_id=account, page_size=2, page_token=token)
        )
        found += [key.key_id for key in page.keys]
        token = page.next_page_token

    assert (found, token) == (sorted(issued, reverse=True), "")


async def _works(billing: Billing, secret: str) -> bool:
    try:
        await billing.look_up(secret)
    except ServiceError as error:
        if error.reason is not Reason.KEY_INVALID:
            raise
        return False
    return True


@pytest.mark.parametrize(("contract", "environment"), KEY_PREFIXES)
async def test_a_new_key_has_the_form_of_its_contract_and_is_found_by_its_hash(
    billing: Billing, contract: str, environment: str
) -> None:
    account = await billing.account(contract=contract)

    created = await billing.new_key(account, environment)

    assert KeyForms([KEY_SECRET]).form_of(created.secret) is KeyForm.SIGNED
    assert created.secret.startswith(KEY_PREFIXES[contract, environment])
    assert created.key.hint == f"{KEY_PREFIXES[contract, environment]}…{created.secret[-4:]}"
    assert environment_of(created.key.environment) == environment
    assert not created.key.HasField("disabled_at")
    assert await billing.look_up(created.secret) == key_service_pb2.LookUpKeyResponse(
        key_id=created.key.key_id,
        account_id=account,
        environment=environment,
        contract=contract,
        kind="business",
        calls_per_minute=600,
        account_jobs_at_once=100,
        key_jobs_at_once=100,
    )


async def test_the_secret_of_a_key_is_not_in_the_database(billing: Billing) -> None:
    created = await billing.new_key(await billing.account())

    [row] = await billing.rows("SELECT * FROM api_keys")

    assert row["key_sha256"] == hashlib.sha256(created.secret.encode()).digest()
    assert created.secret not in str(row)


async def test_keys_are_listed_newest_first_without_their_secrets(billing: Billing) -> None:
    account = await billing.account()
    created = [await billing.new_key(account, environment) for environment in ("live", "test", "live")]
    await billing.new_key(await billing.account())

    listed = await _list(billing, account)

    assert listed == [answer.key for answer in reversed(created)]


async def test_keys_of_an_unknown_account_are_refused(billing: Billing) -> None:
    for call in (
        billing.new_key("acct_nobody"),
        _list(billing, "acct_nobody"),
    ):
        with pytest.raises(ServiceError) as refused:
            await call
        assert refused.value.reason is Reason.ACCOUNT_NOT_FOUND


async def test_a_disabled_key_is_not_found_and_disabling_it_again_changes_nothing(billing: Billing) -> None:
    created = await billing.new_key(await billing.account())

    first = await _disable(billing, created.key.key_id)
    disabled = await billing.everything()
    again = await _disable(billing, created.key.key_id)

    assert first.HasField("disabled_at")
    assert again == first
    assert await billing.everything() == disabled
    assert not await _works(billing, created.secret)


async def test_a_rotated_key_is_the_same_key_with_another_secret(billing: Billing) -> None:
    account = await billing.account()
    created = await billing.new_key(account)
    await _set_models(billing, created.key.key_id, "pro")
    before = await billing.look_up(created.secret)

    rotated = await _rotate(billing, created.key.key_id)

    assert KeyForms([KEY_SECRET]).form_of(rotated.secret) is KeyForm.SIGNED
    assert rotated.secret != created.secret
    assert rotated.key.hint.endswith(rotated.secret[-4:])
    assert rotated.key.HasField("previous_until")
    assert await _list(billing, account) == [rotated.key]
    assert await billing.look_up(rotated.secret) == before
    assert await billing.look_up(created.secret) == before


async def test_the_secret_before_stops_when_its_overlap_ends(billing: Billing) -> None:
    account = await billing.account()
    created = await billing.new_key(account)
    rotated = await _rotate(billing, created.key.key_id)

    await billing.rows("UPDATE api_keys SET previous_until = now()")

    assert not await _works(billing, created.secret)
    assert await _works(billing, rotated.secret)
    [shown] = await _list(billing, account)
    assert not shown.HasField("previous_until")


async def test_the_overlap_lasts_as_long_as_was_asked(billing: Billing) -> None:
    created = await billing.new_key(await billing.account())

    await _rotate(billing, created.key.key_id, overlap_seconds=2_592_000)

    [row] = await billing.rows(
        "SELECT previous_until - occurred_at AS lasts FROM api_keys, audit WHERE action = 'key.rotate'"
    )
    assert timedelta(0) <= timedelta(days=30) - row["lasts"] < timedelta(seconds=PATIENCE_SECONDS)


async def test_without_an_overlap_the_secret_before_stops_at_once(billing: Billing) -> None:
    created = await billing.new_key(await billing.account())

    rotated = await _rotate(billing, created.key.key_id, overlap_seconds=0)

    assert not await _works(billing, created.secret)
    assert await _works(billing, rotated.secret)
    assert not rotated.key.HasField("previous_until")


async def test_rotating_again_drops_the_older_overlap(billing: Billing) -> None:
    created = await billing.new_key(await billing.account())
    first = await _rotate(billing, created.key.key_id)

    second = await _rotate(billing, created.key.key_id)

    secrets = (created.secret, first.secret, second.secret)
    assert [await _works(billing, secret) for secret in secrets] == [False, True, True]


async def test_of_rotations_at_once_the_last_two_secrets_work(billing: Billing) -> None:
    created = await billing.new_key(await billing.account())

    rotated = await asyncio.gather(*(_rotate(billing, created.key.key_id) for _ in range(6)))

    [row] = await billing.rows("SELECT hint, key_sha256, previous_sha256 FROM api_keys")
    working = {answer.secret for answer in rotated if await _works(billing, answer.secret)}
    assert {hashlib.sha256(secret.encode()).digest() for secret in working} == {
        row["key_sha256"],
        row["previous_sha256"],
    }
    assert len(working) == 2
    assert not await _works(billing, created.secret)
    assert len(await billing.audit_entries(created.key.key_id)) == 7


async def test_disabling_a_key_ends_its_overlap(billing: Billing) -> None:
    created = await billing.new_key(await billing.account())
    rotated = await _rotate(billing, created.key.key_id)

    disabled = await _disable(billing, created.key.key_id)

    assert not disabled.HasField("previous_until")
    assert not await _works(billing, created.secret)
    assert not await _works(billing, rotated.secret)


async def test_a_disabled_key_is_not_rotated(billing: Billing) -> None:
    created = await billing.new_key(await billing.account())
    await _disable(billing, created.key.key_id)
    before = await billing.everything()

    with pytest.raises(ServiceError) as refused:
        await _rotate(billing, created.key.key_id)

    assert refused.value.reason is Reason.KEY_DISABLED
    assert await billing.everything() == before


async def test_the_models_of_a_key_are_shown_and_found_with_it(billing: Billing) -> None:
    account = await billing.account()
    created = await billing.new_key(account)

    bounded = await _set_models(billing, created.key.key_id, "pro", "fast")

    assert list(created.key.models) == []
    assert list(bounded.models) == ["fast", "pro"]
    assert await _list(billing, account) == [bounded]
    assert list((await billing.look_up(created.secret)).models) == ["fast", "pro"]

    freed = await _set_models(billing, created.key.key_id)

    assert freed == created.key
    assert list((await billing.look_up(created.secret)).models) == []


async def test_setting_the_same_models_in_another_order_changes_nothing(billing: Billing) -> None:
    created = await billing.new_key(await billing.account())
    first = await _set_models(billing, created.key.key_id, "pro", "fast")
    before = await billing.everything()

    again = await _set_models(billing, created.key.key_id, "fast", "pro")

    assert again == first
    assert await billing.everything() == before


@pytest.mark.parametrize("change", [_disable, _rotate, _set_models])
async def test_changing_an_unknown_key_is_refused_and_nothing_is_written(
    billing: Billing, change: Callable[[Billing, str], Awaitable[object]]
) -> None:
    await billing.new_key(await billing.account())
    before = await billing.everything()

    with pytest.raises(ServiceError) as refused:
        await change(billing, "key_none")

    assert refused.value.reason is Reason.KEY_NOT_FOUND
    assert await billing.everything() == before


async def test_each_secret_is_looked_for_in_its_own_index(billing: Billing) -> None:
    account = await billing.account()
    await billing.rows(
        """
        INSERT INTO api_keys
            (key_id, account_id, environment, key_sha256, hint, previous_sha256, previous_until)
        SELECT 'key_' || number, %s, 'live', sha256(CAST('a' || number AS bytea)), '…',
            sha256(CAST('b' || number AS bytea)), now() + interval '1 day'
        FROM generate_series(1, 5000) AS number
        """,
        account,
    )
    await billing.rows("ANALYZE api_keys")

    plan = await billing.rows(
        f"EXPLAIN {_FIND_KEY.sql.decode().replace('%(sha256)s', '%s')}", bytes(32), bytes(32)
    )

    steps = [row["QUERY PLAN"].strip() for row in plan]
    assert not any("Seq Scan on api_keys" in step for step in steps)
    for index in ("api_keys_key_sha256_key", "api_keys_previous_sha256_idx"):
        assert any(f"using {index}" in step for step in steps), steps


async def test_an_unknown_key_is_not_found(billing: Billing) -> None:
    with pytest.raises(ServiceError) as refused:
        await billing.look_up("sk_seedancee2_live_unknown")

    assert refused.value.reason is Reason.KEY_INVALID


async def test_a_disabled_key_stops_working_within_the_time_of_the_cache(billing: Billing) -> None:
    created = await billing.new_key(await billing.account())
    seconds = 1000.0
    async with open_pool(billing.database_url, name="keys", connections_max=1) as pool:
        cache = KeyCache(SqlKeys(pool).find, forms=KeyForms([KEY_SECRET]), monotonic=lambda: seconds)
        before = await cache.find(created.secret)
        await _disable(billing, created.key.key_id)

        seconds += CACHE_SECONDS
        after = await cache.find(created.secret)

    assert before is not None
    assert before.key_id == created.key.key_id
    assert after is None
    assert CACHE_SECONDS < 5
