"""Settings of the jobs service that must not be mistaken."""

from dataclasses import replace
from typing import Any

import pytest

from services.common.settings import SettingsError, load_settings
from services.jobs.providers import open_catalogue
from services.jobs.settings import JobsSettings
from tests.conftest import KEY_SECRET
from tests.unit.jobs.samples import JOB

REQUIRED = {
    "JOBS_DATABASE_URL": "postgresql://db/jobs",
    "JOBS_KEY_CHECKSUM_SECRETS": KEY_SECRET,
    "JOBS_BILLING_TARGET": "billing:7101",
    "JOBS_WEBHOOKS_TARGET": "webhooks:7101",
    "JOBS_MEDIA_STORE_URL": "/media",
    "JOBS_MEDIA_BASE_URL": "https://media.example",
    "JOBS_LIVE_PROVIDER": "simulator",
    "JOBS_SIMULATOR_BASE_URL": "http://simulator:8000/api/v3",
    "JOBS_SIMULATOR_API_KEY": "local",
}


def load(**changes: str) -> JobsSettings:
    environment = {**REQUIRED, **{f"JOBS_{name.upper()}": value for name, value in changes.items()}}
    return load_settings(JobsSettings, prefix="JOBS_", environment=environment)


def test_media_in_a_folder_are_signed_with_a_secret_only() -> None:
    with pytest.raises(SettingsError, match="JOBS_MEDIA_URL_SECRET"):
        load(media_url_seconds="3600")
    with pytest.raises(SettingsError, match="MEDIA_URL_SECRET"):
        load(media_url_seconds="3600", media_url_secret="short")
    assert load(media_url_seconds="3600", media_url_secret=KEY_SECRET).media_url_seconds == 3600
    assert load(media_url_seconds="3600", media_store_url="s3://bucket/media").media_url_seconds == 3600


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


@pytest.mark.parametrize("days", ["-1", "1", "29", "40000"])
def test_jobs_are_kept_forever_or_for_a_month_at_least(days: str) -> None:
    with pytest.raises(SettingsError, match="JOBS_JOB_DAYS"):
        load(job_days=days)


@pytest.mark.parametrize(
    ("days", "job_days", "kept"),
    [("0", "0", 0), ("10", "0", 10), ("0", "30", 30), ("10", "30", 10), ("90", "30", 30)],
)
def test_media_and_content_outlast_no_job(days: str, job_days: str, kept: int) -> None:
    own = f'{{"acct_2": {{"media_days": {days}, "content_days": {days}}}}}'
    settings = load(media_days=days, content_days=days, job_days=job_days)
    settings_of_one = load(job_days=job_days, kept_days_by_account=own)

    assert (settings.media_days_of("acct_1"), settings.content_days_of("acct_1")) == (kept, kept)
    assert (settings_of_one.media_days_of("acct_2"), settings_of_one.content_days_of("acct_2")) == (
        kept,
        kept,
    )


def test_nobody_is_asked_to_moderate_unless_an_address_is_set() -> None:
    settings = load()

    assert (settings.moderation_url, settings.moderation_timeout_seconds) == ("", 2.0)


@pytest.mark.parametrize("url", ["moderation:8080", "ftp://moderation", "http://a b"])
def test_a_moderation_address_is_one_of_http(url: str) -> None:
    with pytest.raises(SettingsError, match="JOBS_MODERATION_URL"):
        load(moderation_url=url)


def test_who_renders_for_live_customers_must_be_said() -> None:
    environment = {name: value for name, value in REQUIRED.items() if name != "JOBS_LIVE_PROVIDER"}

    with pytest.raises(SettingsError, match="JOBS_LIVE_PROVIDER: required"):
        load_settings(JobsSettings, prefix="JOBS_", environment=environment)


def test_the_catalogue_renders_also_under_the_name_that_it_had_before() -> None:
    assert load(live_provider="ark").live_provider == load(live_provider="catalogue").live_provider


def test_a_paid_provider_without_its_key_is_not_replaced_by_the_simulator() -> None:
    message = r"^CATALOGUE_FILE: credentials\.ark\.keys\.main: is empty: the variable JOBS_ARK_API_KEY"
    with pytest.raises(SettingsError, match=message):
        open_catalogue(load(live_provider="catalogue"), {})

    opened = open_catalogue(load(live_provider="catalogue", ark_api_key="paid"), {})

    assert opened.in_force.keys == {("ark", "main"): "paid"}


def test_nobody_else_renders_for_live_customers() -> None:
    with pytest.raises(SettingsError, match="JOBS_LIVE_PROVIDER"):
        load(live_provider="nobody")


@pytest.mark.parametrize(
    ("live_provider", "environment", "route"),
    [
        ("catalogue", "live", "ark-pro"),
        ("catalogue", "test", "simulator"),
        ("simulator", "live", "simulator"),
    ],
)
def test_live_jobs_go_to_the_provider_that_was_said_and_no_others(
    live_provider: str, environment: str, route: str
) -> None:
    catalogue = open_catalogue(load(live_provider=live_provider, ark_api_key="paid"), {})()
    owner = replace(JOB.owner, environment=environment)

    choices = catalogue.choices("pro", owner, JOB.input.asked(names_seed=False))

    assert [choice.route.name for choice in choices] == [route]
