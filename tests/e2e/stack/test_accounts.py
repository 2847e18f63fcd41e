"""Accounts, keys and credits, as an operator looks after them."""

import json
import time
import urllib.error
import urllib.request

from tests.e2e.local_stack import Stack
from tests.patience import PATIENCE_SECONDS


def balance(stack: Stack, key: str) -> dict[str, float]:
    request = urllib.request.Request(f"{stack.edge}/v1/balance", headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:
        shown: dict[str, float] = json.load(response)["data"]
        return shown


def accepts(stack: Stack, key: str) -> bool:
    try:
        balance(stack, key)
    except urllib.error.HTTPError as error:
        with error:
            if error.code != 401:
                raise
        return False
    return True


def test_a_new_account_can_spend_its_credits_in_both_environments(stack: Stack) -> None:
    account = stack.create_account("acme", credits_each="12.5")

    assert account.account_id.startswith("acct_")
    assert all(secret.startswith("whsec_") for secret in account.webhook_secrets.values())
    assert len(set(account.webhook_secrets.values())) == 2
    assert account.keys["live"].startswith("sk_seedancee2_live_")
    assert account.keys["test"].startswith("sk_seedancee2_test_")
    for key in account.keys.values():
        assert balance(stack, key) == {"available": 12.5, "held": 0}


def test_granted_credits_reach_only_the_environment_they_are_for(stack: Stack) -> None:
    account = stack.create_account(credits_each="1")
    grant = (
        "credits",
        "grant",
        account.account_id,
        "0.000001",
        "--reason",
        "a gift",
        "--environment",
        "test",
    )

    granted = stack.answer(*grant)

    assert granted["available_micros"] == 1_000_001
    assert balance(stack, account.keys["test"])["available"] == 1.000001
    assert balance(stack, account.keys["live"])["available"] == 1


def test_a_key_works_from_its_issue_until_shortly_after_it_is_disabled(stack: Stack) -> None:
    account = stack.create_account()
    key = stack.answer("key", "create", account.account_id, "--environment", "live")
    assert accepts(stack, key["secret"])

    disabled = stack.answer("key", "disable", key["key_id"])

    deadline = time.monotonic() + PATIENCE_SECONDS
    while accepts(stack, key["secret"]):
        assert time.monotonic() < deadline, "the key still works"
        time.sleep(0.1)
    listed = {entry["key_id"]: entry for entry in stack.answer("key", "list", account.account_id)}
    assert len(listed) == 3
    assert listed[key["key_id"]] == disabled
    assert disabled["disabled_at"]
    assert disabled["hint"].endswith(key["secret"][-4:])
    assert not any(key["secret"] in str(entry) for entry in listed.values())


def test_what_a_service_refuses_is_told_in_one_line(stack: Stack) -> None:
    refused = stack.run("credits", "grant", "acct_nobody", "5", "--reason", "a gift")

    assert refused.returncode == 1
    assert refused.stderr.startswith("Error: ")
    assert refused.stderr.count("\n") == 1
    assert "account" in refused.stderr.lower()
