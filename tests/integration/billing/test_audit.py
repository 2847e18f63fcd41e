"""Who did what and why: one entry for each change, in the same commit."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from reelgate.admin.v1 import (
    account_pb2,
    account_service_pb2,
    audit_pb2,
    audit_service_pb2,
    key_admin_service_pb2,
)

from services.common.errors import Reason, ServiceError
from services.common.rpc.enums import environment_value
from tests.integration.billing.running import Billing

Change = Callable[[Billing, str, str], Awaitable[Any]]
"""Changes an account or its key, given the ids of both."""

WHO = audit_pb2.AuditNote(actor="ada@example.com", reason="ticket 42")
BOUND = account_pb2.SpendLimits(per_day_micros=5)
LIMITS = {"per_job_micros": None, "per_day_micros": 5, "per_month_micros": None}
UNLIMITED = dict.fromkeys(LIMITS)
CHANGES: dict[str, tuple[Change, dict[str, Any]]] = {
    "account.suspend": (
        lambda billing, account, _: billing.accounts.SuspendAccount(
            account_service_pb2.SuspendAccountRequest(account_id=account, audit=WHO)
        ),
        {},
    ),
    "account.resume": (
        lambda billing, account, _: billing.accounts.ResumeAccount(
            account_service_pb2.ResumeAccountRequest(account_id=account, audit=WHO)
        ),
        {},
    ),
    "account.set_limits": (
        lambda billing, account, _: billing.accounts.SetAccountLimits(
            account_service_pb2.SetAccountLimitsRequest(
                account_id=account, limits=BOUND, environment=environment_value("live"), audit=WHO
            )
        ),
        {"environment": "live", "before": UNLIMITED, "after": LIMITS},
    ),
    "account.set_rules": (
        lambda billing, account, _: billing.accounts.SetAccountRules(
            account_service_pb2.SetAccountRulesRequest(
                account_id=account, rules=account_pb2.AccountRules(jobs_at_once=7), audit=WHO
            )
        ),
        {
            "before": {"jobs_at_once": None, "moderation_profile": ""},
            "after": {"jobs_at_once": 7, "moderation_profile": ""},
        },
    ),
    "credits.grant": (
        lambda billing, account, _: billing.accounts.GrantCredits(
            account_service_pb2.GrantCreditsRequest(
                grant_id="g1",
                account_id=account,
                amount_micros=10**15 - 1,
                environment=environment_value("live"),
                audit=WHO,
            )
        ),
        {"id": "g1", "environment": "live", "amount_micros": 10**15 - 1},
    ),
    "credits.correction": (
        lambda billing, account, _: billing.accounts.CorrectBalance(
            account_service_pb2.CorrectBalanceRequest(
                correction_id="c1",
                account_id=account,
                amount_micros=-1,
                environment=environment_value("live"),
                audit=WHO,
            )
        ),
        {"id": "c1", "environment": "live", "amount_micros": -1},
    ),
    "key.set_limits": (
        lambda billing, _, key: billing.key_admin.SetKeyLimits(
            key_admin_service_pb2.SetKeyLimitsRequest(key_id=key, limits=BOUND, audit=WHO)
        ),
        {"environment": "live", "before": UNLIMITED, "after": LIMITS},
    ),
    "key.set_models": (
        lambda billing, _, key: billing.key_admin.SetKeyModels(
            key_admin_service_pb2.SetKeyModelsRequest(key_id=key, models=["pro", "fast"], audit=WHO)
        ),
        {"before": [], "after": ["fast", "pro"]},
    ),
    "key.set_rules": (
        lambda billing, _, key: billing.key_admin.SetKeyRules(
            key_admin_service_pb2.SetKeyRulesRequest(
                key_id=key,
                rules=key_admin_service_pb2.KeyRules(
                    kind=key_admin_service_pb2.KEY_KIND_ADMIN, moderation_profiles=["strict"]
                ),
                audit=WHO,
            )
        ),
        {
            "before": {
                "kind": "business",
                "calls_per_minute": None,
                "jobs_at_once": None,
                "moderation_profiles": [],
            },
            "after": {
                "kind": "admin",
                "calls_per_minute": None,
                "jobs_at_once": None,
                "moderation_profiles": ["strict"],
            },
        },
    ),
    "key.disable": (
        lambda billing, _, key: billing.key_admin.DisableKey(
            key_admin_service_pb2.DisableKeyRequest(key_id=key, audit=WHO)
        ),
        {},
    ),
}


async def _subjects(billing: Billing) -> tuple[str, str]:
    account = await billing.account(credits_live=1)
    return account, (await billing.new_key(account)).key.key_id


async def test_every_change_leaves_one_entry_however_often_it_is_repeated(billing: Billing) -> None:
    account, key = await _subjects(billing)

    for action, (change, details) in CHANGES.items():
        for _ in range(3):
            await change(billing, account, key)

        subject = key if action.startswith("key.") else account
        [entry, *_] = await billing.audit_entries()
        assert entry == audit_pb2.AuditEntry(
            number=entry.number,
            occurred_at=entry.occurred_at,
            actor="ada@example.com",
            action=action,
            subject_id=subject,
            reason="ticket 42",
            details_json=entry.details_json,
        )
        assert json.loads(entry.details_json) == details

    entries = await billing.audit_entries()
    assert [entry.action for entry in entries] == [
        *reversed(CHANGES),
        "key.create",
        "credits.grant",
        "account.create",
    ]


async def test_what_is_made_is_told_with_what_it_is_and_never_with_its_secret(billing: Billing) -> None:
    account = await billing.account(contract="nextapi")
    created = await billing.new_key(account, "test")
    request = key_admin_service_pb2.RotateKeyRequest(key_id=created.key.key_id, overlap_seconds=60, audit=WHO)
    rotated = await billing.key_admin.RotateKey(request)

    rotation, creation, opening = await billing.audit_entries()

    assert (rotation.action, rotation.subject_id) == ("key.rotate", created.key.key_id)
    assert json.loads(rotation.details_json) == {"hint": rotated.key.hint, "overlap_seconds": 60}
    assert (creation.action, creation.subject_id) == ("key.create", created.key.key_id)
    assert json.loads(creation.details_json) == {
        "key_id": created.key.key_id,
        "account_id": account,
        "environment": "test",
        "hint": created.key.hint,
    }
    assert (opening.action, opening.subject_id) == ("account.create", account)
    assert json.loads(opening.details_json) == {"name": "Acme", "contract": "nextapi"}
    assert opening.occurred_at <= creation.occurred_at <= rotation.occurred_at


async def test_a_change_that_cannot_be_told_is_not_made(billing: Billing) -> None:
    account, key = await _subjects(billing)
    changes = [*CHANGES.values()]
    await CHANGES["account.suspend"][0](billing, account, key)
    await billing.rows("ALTER TABLE audit ADD CONSTRAINT nobody_writes CHECK (false) NOT VALID")
    before = await billing.everything()

    makers: list[Change] = [
        *(change for change, _ in changes[1:]),
        lambda billing, account, _: billing.new_key(account),
        lambda billing, *_: billing.account(),
        lambda billing, _, key: billing.key_admin.RotateKey(
            key_admin_service_pb2.RotateKeyRequest(key_id=key, audit=WHO)
        ),
    ]
    for make in makers:
        with pytest.raises(ServiceError) as failed:
            await make(billing, account, key)
        assert failed.value.reason is Reason.INTERNAL

    assert await billing.everything() == before


async def test_entries_are_listed_newest_first_in_pages(billing: Billing) -> None:
    opened = [await billing.account() for _ in range(5)]

    first = await _list(billing, page_size=2)
    rest = await _list(billing, page_token=str(first[-1].number), page_size=3)

    assert [entry.subject_id for entry in [*first, *rest]] == opened[::-1]
    assert len(first) == 2


async def test_entries_of_one_subject_are_listed_alone(billing: Billing) -> None:
    account, key = await _subjects(billing)
    await _subjects(billing)
    await CHANGES["account.suspend"][0](billing, account, key)

    newest, *older = await _list(billing, subject_id=account)

    assert newest.action == "account.suspend"
    assert [entry.action for entry in older] == ["credits.grant", "account.create"]
    assert await _list(billing, subject_id=account, page_token=str(newest.number), page_size=1) == older[:1]
    assert await _list(billing, subject_id="acct_nobody") == []


async def _list(billing: Billing, **wanted: Any) -> list[audit_pb2.AuditEntry]:
    listed = await billing.audit.ListAuditEntries(audit_service_pb2.ListAuditEntriesRequest(**wanted))
    return list(listed.entries)
