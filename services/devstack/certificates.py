"""The authority of a local stack, and the certificates of its services and its operator."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from services.common.tls.files import AUTHORITIES, CERTIFICATE, KEY, TlsError, TlsFolder
from services.common.tls.identities import BILLING, JOBS, OPERATORS, WEBHOOKS
from services.devstack.folder import write_secret

AUTHORITY_LIFETIME = timedelta(days=3650)
CERTIFICATE_LIFETIME = timedelta(days=30)
AUTHORITY_KEY = "ca.key"
CLOCK_SKEW = timedelta(hours=1)
IDENTITIES: Mapping[str, str] = {
    "billing": BILLING,
    "jobs": JOBS,
    "webhooks": WEBHOOKS,
    "operator": OPERATORS.replace("*", "local"),
}
SERVERS = frozenset({"billing", "jobs", "webhooks"})
NAMES = (x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1")))


@dataclass(frozen=True)
class _Authority:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def ensure_certificates(folder: Path, *, now: datetime) -> int:
    """Makes an authority in `folder` and a certificate for each name of IDENTITIES; renews those that are broken or expire soon.

    "Soon" means that less than a third of the lifetime is left. Returns how many certificates were made. `folder/NAME` is laid out for
    services.common.tls.
    """
    authority = _read_authority(folder / "authority", now) or _make_authority(folder / "authority", now)
    made = 0
    for name, identity in IDENTITIES.items():
        target = folder / name
        if not _is_valid(target, authority, now):
            target.mkdir(mode=0o700, parents=True, exist_ok=True)
            _issue(target, identity, authority, now, serves=name in SERVERS)
            made += 1
    return made


def _read_authority(folder: Path, now: datetime) -> _Authority | None:
    try:
        certificate = x509.load_pem_x509_certificate((folder / AUTHORITIES).read_bytes())
        key = load_pem_private_key((folder / AUTHORITY_KEY).read_bytes(), password=None)
    except (FileNotFoundError, ValueError):
        return None
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    # They differ after an interrupted renewal.
    matches = key.public_key() == certificate.public_key()
    return None if _expires_soon(certificate, now) or not matches else _Authority(certificate, key)


def _make_authority(folder: Path, now: datetime) -> _Authority:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = _common_name("Reelgate local stack")
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    certificate = (
        _builder(name, name, key.public_key(), now, AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    write_secret(folder / AUTHORITY_KEY, _pem(key))
    write_secret(folder / AUTHORITIES, certificate.public_bytes(Encoding.PEM).decode())
    return _Authority(certificate, key)


def _issue(folder: Path, identity: str, authority: _Authority, now: datetime, *, serves: bool) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    names = (x509.UniformResourceIdentifier(identity), *(NAMES if serves else ()))
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if serves else [])]
    certificate = (
        _builder(
            _common_name(folder.name),
            authority.certificate.subject,
            key.public_key(),
            now,
            CERTIFICATE_LIFETIME,
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    write_secret(folder / KEY, _pem(key))
    write_secret(folder / AUTHORITIES, authority.certificate.public_bytes(Encoding.PEM).decode())
    write_secret(folder / CERTIFICATE, certificate.public_bytes(Encoding.PEM).decode())


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime,
    lifetime: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + lifetime)
    )


def _is_valid(folder: Path, authority: _Authority, now: datetime) -> bool:
    try:
        files = TlsFolder(folder).read()
    except TlsError:
        return False
    known = x509.load_pem_x509_certificate(files.authorities) == authority.certificate
    return known and not _expires_soon(x509.load_pem_x509_certificate(files.certificate), now)


def _expires_soon(certificate: x509.Certificate, now: datetime) -> bool:
    lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    return certificate.not_valid_after_utc - now < lifetime / 3


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
