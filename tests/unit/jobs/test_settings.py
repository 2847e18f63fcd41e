"""Settings of the jobs service that must not be mistaken."""

from typing import Any

import pytest

from services.common.settings import SettingsError, load_settings
from services.jobs.settings import JobsSettings
from tests.conftest import KEY_SECRET

REQUIRED = {
    "JOBS_DATABASE_URL": "postgresql://db/jobs",
    "JOBS_KEY_CHECKSUM_SECRETS": KEY_SECRET,
    "JOBS_BILLING_TARGET": "billing:7101",
    "JOBS_WEBHOOKS_TARGET": "webhooks:7101",
    "JOBS_MEDIA_STORE_URL": "/media",
    "JOBS_MEDIA_BASE_URL": "https://media.example",
    "JOBS_SIMULATOR_BASE_URL": "http://simulator:8000/api/v3",
    "JOBS_SIMULATOR_API_KEY": "local",
}


def load(**changes: str) -> JobsSettings:
    environment = {**REQUIRED, **{f"JOBS_{name.upper()}": value for name, value in changes.items()}}
    return load_settings(JobsSettings, prefix="JOBS_", environment=environment)


@pytest.mark.parametrize(
    "changes",
    [
        {"simulator_base_url": "https://ark.ap-southeast.bytepluses.com/api/v3"},
        {"simulator_base_url": "https://ark.ap-southeast.bytepluses.com:443"},
        {"simulator_base_url": "https://ARK.ap-southeast.bytepluses.com/simulator"},
        {
            "ark_base_url": "https://ark.cn-beijing.volces.com/api/v3",
            "simulator_base_url": "https://ark.cn-beijing.volces.com/api/v3",
        },
    ],
)
def test_the_paid_provider_cannot_be_taken_for_the_simulator(changes: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=r"JOBS_SIMULATOR_BASE_URL: .*must not be ModelArk"):
        load(**changes)


def test_nobody_is_asked_to_moderate_unless_an_address_is_set() -> None:
    settings = load()

    assert (settings.moderation_url, settings.moderation_timeout_seconds) == ("", 2.0)


@pytest.mark.parametrize("url", ["moderation:8080", "ftp://moderation", "http://a b"])
def test_a_moderation_address_is_one_of_http(url: str) -> None:
    with pytest.raises(SettingsError, match="JOBS_MODERATION_URL"):
        load(moderation_url=url)
