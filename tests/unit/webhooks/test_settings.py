from ipaddress import ip_network

import pytest

from services.common.settings import SettingsError, load_settings
from services.webhooks.__main__ import main
from services.webhooks.settings import WebhooksSettings
from tests.conftest import KEY_SECRET

ENVIRONMENT = {
    "WEBHOOKS_DATABASE_URL": "postgresql://localhost/webhooks",
    "WEBHOOKS_INTERNAL_ADDRESS": "127.0.0.1:0",
    "WEBHOOKS_KEY_CHECKSUM_SECRETS": KEY_SECRET,
    "WEBHOOKS_BILLING_TARGET": "127.0.0.1:1",
    "WEBHOOKS_SECRET_KEY": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
}


def test_nothing_private_is_open_unless_named() -> None:
    settings = load_settings(WebhooksSettings, prefix="WEBHOOKS_", environment=ENVIRONMENT)

    assert settings.private_targets_allowed == ()


def test_blocks_are_separated_by_commas() -> None:
    environment = {**ENVIRONMENT, "WEBHOOKS_PRIVATE_TARGETS_ALLOWED": "127.0.0.0/8, ::1/128"}

    settings = load_settings(WebhooksSettings, prefix="WEBHOOKS_", environment=environment)

    assert settings.private_targets_allowed == (ip_network("127.0.0.0/8"), ip_network("::1/128"))


def test_all_problems_are_told_together_and_no_secret_is() -> None:
    environment = {
        **ENVIRONMENT,
        "WEBHOOKS_SECRET_KEY": "too-short-to-be-a-key",
        "WEBHOOKS_PRIVATE_TARGETS_ALLOWED": "10.0.0.0/33",
        "WEBHOOKS_TYPO": "1",
    }

    with pytest.raises(SettingsError) as caught:
        load_settings(WebhooksSettings, prefix="WEBHOOKS_", environment=environment)

    told = str(caught.value)
    assert [line.partition(":")[0] for line in told.splitlines()] == [
        "WEBHOOKS_PRIVATE_TARGETS_ALLOWED",
        "WEBHOOKS_SECRET_KEY",
        "WEBHOOKS_TYPO",
    ]
    assert "too-short" not in told


@pytest.mark.parametrize("arguments", [[], ["worker"], ["api", "dispatcher"]])
def test_an_unknown_process_is_explained(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code = main(arguments, ENVIRONMENT)

    assert code == 2
    assert "usage: python -m services.webhooks" in capsys.readouterr().err


def test_a_missing_setting_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["api"], {})

    assert code == 2
    assert "WEBHOOKS_DATABASE_URL: required" in capsys.readouterr().err


def test_events_are_kept_for_the_days_of_their_account() -> None:
    environment = {**ENVIRONMENT, "WEBHOOKS_KEPT_DAYS_OF": "acct_1=90, acct_2=7"}

    settings = load_settings(WebhooksSettings, prefix="WEBHOOKS_", environment=environment)

    assert (settings.kept_days, settings.kept_days_of) == (30, {"acct_1": 90, "acct_2": 7})
