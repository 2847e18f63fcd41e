from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from services.common.clock import utc_now
from services.common.tls.files import TlsFolder
from services.devstack.certificates import (
    AUTHORITY_LIFETIME,
    CERTIFICATE_LIFETIME,
    IDENTITIES,
    SERVERS,
    ensure_certificates,
)

NOW = utc_now()
HOUR = timedelta(hours=1)


def _certificate(folder: Path, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(TlsFolder(folder / name).read().certificate)


def _names(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def test_each_has_a_certificate_of_its_own_identity_and_nobody_else_can_read_a_key(tmp_path: Path) -> None:
    assert ensure_certificates(tmp_path, now=NOW) == len(IDENTITIES)

    for name, identity in IDENTITIES.items():
        names = _names(_certificate(tmp_path, name))
        assert names.get_values_for_type(x509.UniformResourceIdentifier) == [identity]
        assert bool(names.get_values_for_type(x509.DNSName)) is (name in SERVERS)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o600"}
    assert {oct(path.stat().st_mode & 0o777) for path in tmp_path.iterdir()} == {"0o700"}


def test_what_still_lasts_stays_and_what_ends_soon_is_renewed_under_the_same_authority(
    tmp_path: Path,
) -> None:
    ensure_certificates(tmp_path, now=NOW)
    first = _certificate(tmp_path, "jobs")

    assert ensure_certificates(tmp_path, now=NOW + CERTIFICATE_LIFETIME / 2) == 0
    later = NOW + CERTIFICATE_LIFETIME * 2 / 3 + HOUR
    assert ensure_certificates(tmp_path, now=later) == len(IDENTITIES)

    renewed = _certificate(tmp_path, "jobs")
    assert renewed.not_valid_after_utc > first.not_valid_after_utc
    renewed.verify_directly_issued_by(
        x509.load_pem_x509_certificate((tmp_path / "authority" / "ca.crt").read_bytes())
    )


@pytest.mark.parametrize("lost", ["jobs/tls.crt", "jobs/tls.key", "jobs/ca.crt"])
def test_a_lost_file_is_made_again(tmp_path: Path, lost: str) -> None:
    ensure_certificates(tmp_path, now=NOW)
    (tmp_path / lost).unlink()

    assert ensure_certificates(tmp_path, now=NOW) == 1
    TlsFolder(tmp_path / "jobs").read()


@pytest.mark.parametrize("lost", ["ca.crt", "ca.key"])
def test_with_a_new_authority_every_certificate_is_new(tmp_path: Path, lost: str) -> None:
    ensure_certificates(tmp_path, now=NOW)
    (tmp_path / "authority" / lost).unlink()

    assert ensure_certificates(tmp_path, now=NOW) == len(IDENTITIES)

    authority = x509.load_pem_x509_certificate((tmp_path / "authority" / "ca.crt").read_bytes())
    for name in IDENTITIES:
        _certificate(tmp_path, name).verify_directly_issued_by(authority)


def test_an_authority_that_ends_soon_is_replaced(tmp_path: Path) -> None:
    ensure_certificates(tmp_path, now=NOW)

    assert ensure_certificates(tmp_path, now=NOW + AUTHORITY_LIFETIME * 0.9) == len(IDENTITIES)
