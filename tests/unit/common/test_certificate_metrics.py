"""The end of a certificate is told as soon as it is read, and again when it was renewed."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from services.common.tls.files import TlsFolder
from services.devstack.certificates import ensure_certificates
from tests.metric_values import value

NOW = datetime(2026, 3, 1, tzinfo=UTC)
EXPIRES = "reelgate_certificate_expires_timestamp_seconds"


def test_the_end_of_the_certificate_in_use_is_told(tmp_path: Path) -> None:
    ensure_certificates(tmp_path, now=NOW)
    folder = TlsFolder(tmp_path / "jobs")

    folder.read()
    first, authority = value(EXPIRES, file="tls.crt"), value(EXPIRES, file="ca.crt")
    ensure_certificates(tmp_path, now=datetime.fromtimestamp(first, UTC) - timedelta(minutes=1))
    folder.read()

    assert NOW.timestamp() < first < authority
    assert value(EXPIRES, file="tls.crt") > first
