from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from services.common.clock import utc_now
from services.common.process import run_service
from services.common.rpc.internal_port import inner_tls
from services.common.settings import ServiceSettings, SettingsError
from services.common.tls.identities import covers, parse_identities
from services.devstack.certificates import ensure_certificates
from tests.conftest import KEY_SECRET

LOOPBACK = ("127.0.0.1:0", "localhost:7201")
DATABASE = "postgresql://localhost/billing"


def _settings(**values: Any) -> ServiceSettings:
    return ServiceSettings.model_validate(
        {"database_url": DATABASE, "key_checksum_secrets": KEY_SECRET, **values}
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ensure_certificates(tmp_path, now=utc_now())
    return tmp_path / "billing"


def test_a_folder_of_certificates_protects_any_address(folder: Path) -> None:
    tls = inner_tls(_settings(tls_folder=folder), "0.0.0.0:7101", "0.0.0.0:7201")

    assert tls is not None
    assert tls.read().certificate == (folder / "tls.crt").read_bytes()


def test_on_loopback_certificates_may_be_waived() -> None:
    assert inner_tls(_settings(plaintext_internal=True), *LOOPBACK) is None


@pytest.mark.parametrize("address", ["0.0.0.0:7201", "10.0.0.7:7201", "billing:7201"])
def test_elsewhere_certificates_cannot_be_waived(address: str) -> None:
    with pytest.raises(SettingsError, match=r"^PLAINTEXT_INTERNAL: works on loopback only") as caught:
        inner_tls(_settings(plaintext_internal=True), "127.0.0.1:0", address)

    assert address in str(caught.value)


def test_certificates_are_either_given_or_waived(folder: Path) -> None:
    with pytest.raises(SettingsError, match="set one of them"):
        inner_tls(_settings(plaintext_internal=True, tls_folder=folder), *LOOPBACK)


@pytest.mark.parametrize("lost", ["tls.crt", "tls.key", "ca.crt"])
def test_a_missing_file_is_named(folder: Path, lost: str) -> None:
    (folder / lost).unlink()

    with pytest.raises(SettingsError, match=rf"^TLS_FOLDER: cannot read .*{lost}"):
        inner_tls(_settings(tls_folder=folder), *LOOPBACK)


def test_a_strangers_key_is_named(folder: Path) -> None:
    (folder / "tls.key").write_bytes((folder.parent / "jobs" / "tls.key").read_bytes())

    with pytest.raises(SettingsError, match=r"tls\.key does not belong to the certificate"):
        inner_tls(_settings(tls_folder=folder), *LOOPBACK)


def test_a_process_with_neither_ends_and_says_what_to_set(capsys: pytest.CaptureFixture[str]) -> None:
    @asynccontextmanager
    async def opened(settings: ServiceSettings) -> AsyncIterator[None]:
        inner_tls(settings, *LOOPBACK)
        yield

    code = run_service(
        "billing",
        kind=ServiceSettings,
        processes={"api": ("serve customers", opened)},
        checks_of=lambda _settings: (),
        arguments=["api"],
        environment={
            "BILLING_DATABASE_URL": DATABASE,
            "BILLING_KEY_CHECKSUM_SECRETS": KEY_SECRET,
            "BILLING_METRICS_ADDRESS": "127.0.0.1:0",
        },
    )

    told = capsys.readouterr().err
    assert code == 2
    assert told.startswith("BILLING_TLS_FOLDER: required")
    assert "PLAINTEXT_INTERNAL=true" in told


@pytest.mark.parametrize(
    ("entry", "identity", "is_covered"),
    [
        ("spiffe://a/jobs", "spiffe://a/jobs", True),
        ("spiffe://a/jobs", "spiffe://a/jobs2", False),
        ("spiffe://a/jobs", "spiffe://b/jobs", False),
        ("spiffe://a/operator/*", "spiffe://a/operator/ada", True),
        ("spiffe://a/operator/*", "spiffe://a/operator", False),
        ("spiffe://a/operator/*", "spiffe://a/operators/ada", False),
        ("spiffe://a/jobs", "", False),
        ("spiffe://a/operator/*", "", False),
    ],
)
def test_an_entry_means_one_identity_or_all_below_one(entry: str, identity: str, is_covered: bool) -> None:
    assert covers(entry, identity) is is_covered


def test_identities_are_separated_by_commas() -> None:
    assert parse_identities("spiffe://a/jobs, spiffe://a/operator/*") == (
        "spiffe://a/jobs",
        "spiffe://a/operator/*",
    )


@pytest.mark.parametrize("text", ["jobs", "spiffe://", "spiffe://*", "spiffe:///jobs", "spiffe://a/*/b", "*"])
def test_what_would_let_in_more_than_it_says_is_no_identity(text: str) -> None:
    with pytest.raises(ValueError, match="is not an identity"):
        parse_identities(text)
