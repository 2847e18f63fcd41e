"""How keys and accounts may be used: shown as it was set, found with every default resolved."""

import asyncio

import pytest
from reelgate.admin.v1 import account_pb2, account_service_pb2, key_admin_service_pb2
from reelgate.internal.keys.v1 import key_service_pb2

from services.common.errors import Reason, ServiceError
from services.common.rpc.enums import value_of
from tests.integration.billing.running import NOTE, Billing

STRICT = account_pb2.AccountRules(jobs_at_once=7, moderation_profile="strict")


async def _rule_key(
    billing: Billing, key_id: str, rules: key_admin_service_pb2.KeyRules
) -> key_admin_service_pb2.Key:
    request = key_admin_service_pb2.SetKeyRulesRequest(key_id=key_id, rules=rules, audit=NOTE)
    return (await billing.key_admin.SetKeyRules(request)).key


async def _rule_account(
    billing: Billing, account_id: str, rules: account_pb2.AccountRules
) -> account_pb2.AccountRules:
    request = account_service_pb2.SetAccountRulesRequest(account_id=account_id, rules=rules, audit=NOTE)
    return (await billing.accounts.SetAccountRules(request)).rules


def _counts(found: key_service_pb2.LookUpKeyResponse) -> tuple[str, int, int, int]:
    return found.kind, found.calls_per_minute, found.account_jobs_at_once, found.key_jobs_at_once


@pytest.mark.parametrize(("kind", "calls_per_minute"), [("business", 600), ("admin", 300)])
async def test_what_no_rule_names_has_the_default_of_the_kind(
    billing: Billing, kind: str, calls_per_minute: int
) -> None:
    created = await billing.new_key(await billing.account())

    rules = key_admin_service_pb2.KeyRules(kind=value_of(key_admin_service_pb2.KeyKind.DESCRIPTOR, kind))

    ruled = await _rule_key(billing, created.key.key_id, rules)

    assert ruled.rules == rules
    assert _counts(await billing.look_up(created.secret)) == (kind, calls_per_minute, 100, 100)


async def test_a_key_has_its_own_rules_and_those_of_its_account(billing: Billing) -> None:
    account = await billing.account()
    own, plain = [await billing.new_key(account) for _ in range(2)]
    rules = key_admin_service_pb2.KeyRules(
        kind=key_admin_service_pb2.KEY_KIND_BUSINESS,
        calls_per_minute=5,
        jobs_at_once=3,
        moderation_profiles=["house", "off"],
    )

    of_account = await _rule_account(billing, account, STRICT)
    of_key = await _rule_key(billing, own.key.key_id, rules)

    assert (of_account, of_key.rules) == (STRICT, rules)
    found = await billing.look_up(own.secret)
    assert _counts(found) == ("business", 5, 7, 3)
    assert (found.moderation_profile, list(found.moderation_profiles)) == ("strict", ["house", "off"])
    assert _counts(await billing.look_up(plain.secret)) == ("business", 600, 7, 7)


async def test_rules_are_shown_where_the_account_and_the_key_are(billing: Billing) -> None:
    account = await billing.account()
    created = await billing.new_key(account)
    await _rule_account(billing, account, STRICT)
    ruled = await _rule_key(
        billing, created.key.key_id, key_admin_service_pb2.KeyRules(kind=key_admin_service_pb2.KEY_KIND_ADMIN)
    )

    got = await billing.accounts.GetAccount(account_service_pb2.GetAccountRequest(account_id=account))
    listed = await billing.key_admin.ListKeys(key_admin_service_pb2.ListKeysRequest(account_id=account))

    assert got.account.rules == STRICT
    assert list(listed.keys) == [ruled]


async def test_new_rules_stand_instead_of_all_those_before(billing: Billing) -> None:
    account = await billing.account()
    created = await billing.new_key(account)
    before = await billing.look_up(created.secret)
    full = key_admin_service_pb2.KeyRules(calls_per_minute=1, jobs_at_once=1, moderation_profiles=["off"])
    await _rule_key(billing, created.key.key_id, full)
    await _rule_account(billing, account, STRICT)

    await _rule_key(billing, created.key.key_id, key_admin_service_pb2.KeyRules())
    await _rule_account(billing, account, account_pb2.AccountRules())

    assert await billing.look_up(created.secret) == before


async def test_setting_the_same_rules_again_changes_nothing(billing: Billing) -> None:
    account = await billing.account()
    key = (await billing.new_key(account)).key.key_id
    rules = key_admin_service_pb2.KeyRules(moderation_profiles=["a", "b"])
    await _rule_key(billing, key, rules)
    await _rule_account(billing, account, STRICT)
    before = await billing.everything()

    other_order = key_admin_service_pb2.KeyRules(
        kind=key_admin_service_pb2.KEY_KIND_BUSINESS, moderation_profiles=["b", "a"]
    )
    await asyncio.gather(*(_rule_key(billing, key, other_order) for _ in range(5)))
    await asyncio.gather(*(_rule_account(billing, account, STRICT) for _ in range(5)))

    assert await billing.everything() == before


async def test_rules_of_nobody_are_refused_and_nothing_is_written(billing: Billing) -> None:
    account = await billing.account()
    key = (await billing.new_key(account)).key.key_id
    before = await billing.everything()

    with pytest.raises(ServiceError) as of_key:
        await _rule_key(
            billing, account, key_admin_service_pb2.KeyRules(kind=key_admin_service_pb2.KEY_KIND_ADMIN)
        )
    with pytest.raises(ServiceError) as of_account:
        await _rule_account(billing, key, STRICT)

    assert (of_key.value.reason, of_account.value.reason) == (Reason.KEY_NOT_FOUND, Reason.ACCOUNT_NOT_FOUND)
    assert await billing.everything() == before
