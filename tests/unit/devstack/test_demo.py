import json
from pathlib import Path

from services.devstack.demo import DemoAccount, read_demo_account, write_demo_account

ACCOUNT = DemoAccount(
    account_id="acct_1",
    keys={"live": "sk_live", "test": "sk_test"},
    webhook_secrets={"live": "whsec_1", "test": "whsec_1"},
)


def test_there_is_none_before_the_first_start(tmp_path: Path) -> None:
    assert read_demo_account(tmp_path / "demo.json") is None


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    write_demo_account(tmp_path / "demo.json", ACCOUNT)

    assert read_demo_account(tmp_path / "demo.json") == ACCOUNT


def test_an_account_that_has_one_secret_for_both_environments_is_read(tmp_path: Path) -> None:
    older = {"account_id": ACCOUNT.account_id, "keys": ACCOUNT.keys, "webhook_secret": "whsec_1"}
    (tmp_path / "demo.json").write_text(json.dumps(older))

    assert read_demo_account(tmp_path / "demo.json") == ACCOUNT
