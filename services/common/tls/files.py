"""A certificate, its key and the authorities that are trusted: three files, read again when they change."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from services.common.telemetry.metrics import BILLING, JOBS_API, JOBS_WORKER, WEBHOOKS_API, gauge

log = logging.getLogger(__name__)

CERTIFICATE, KEY, AUTHORITIES = "tls.crt", "tls.key", "ca.crt"
"""As cert-manager mounts them."""
_EXPIRES = gauge(
    "reelgate_certificate_expires_timestamp_seconds",
    "When the certificate that is in use ends, in Unix seconds; of the authorities, the last of them.",
    labels=("file",),
    of=(BILLING, JOBS_API, JOBS_WORKER, WEBHOOKS_API),
)
Stamp = Sequence[tuple[int, int, int]]
"""What changes when one of the files does."""


class TlsError(Exception):
    """The files cannot be used. The message says which one, and why."""


@dataclass(frozen=True)
class TlsFiles:
    """What stands in the files, in PEM."""

    certificate: bytes
    """And what leads from it to an authority."""
    key: bytes
    authorities: bytes


class TlsFolder:
    """A folder with `tls.crt`, `tls.key` and `ca.crt`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: Stamp = ()
        self._files: TlsFiles | None = None

    def read(self) -> TlsFiles:
        """Returns what the files hold now, or what they held before while that is unusable.

        Half a change is unusable: a key that does not belong to the certificate. Raises TlsError if the files were
        never usable.
        """
        try:
            stamp = self._stamped()
            if self._files is None or stamp != self._stamp:
                self._files, self._stamp = _read(self._path), stamp
        except TlsError:
            if self._files is None:
                raise
            log.exception("the certificate cannot be renewed; the previous one stays in use")
        return self._files

    def _stamped(self) -> Stamp:
        try:
            found = [(self._path / name).stat() for name in (CERTIFICATE, KEY, AUTHORITIES)]
        except OSError as error:
            raise _unreadable(error) from error
        return [(each.st_ino, each.st_mtime_ns, each.st_size) for each in found]


def _read(folder: Path) -> TlsFiles:
    try:
        files = TlsFiles(*((folder / name).read_bytes() for name in (CERTIFICATE, KEY, AUTHORITIES)))
    except OSError as error:
        raise _unreadable(error) from error
    certificate = _parsed(folder / CERTIFICATE, files.certificate)[0]
    authorities = _parsed(folder / AUTHORITIES, files.authorities)
    try:
        key = load_pem_private_key(files.key, password=None)
    except (ValueError, TypeError) as error:
        raise TlsError(f"{folder / KEY} holds no unencrypted private key in PEM: {error}") from error
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*form) != certificate.public_key().public_bytes(*form):
        raise TlsError(f"{folder / KEY} does not belong to the certificate in {folder / CERTIFICATE}.")
    _EXPIRES.labels(CERTIFICATE).set(certificate.not_valid_after_utc.timestamp())
    _EXPIRES.labels(AUTHORITIES).set(max(each.not_valid_after_utc for each in authorities).timestamp())
    return files


def _parsed(path: Path, text: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(text)
    except ValueError as error:
        raise TlsError(f"{path} holds no certificate in PEM: {error}") from error


def _unreadable(error: OSError) -> TlsError:
    return TlsError(f"cannot read {error.filename}: {error.strerror}")
