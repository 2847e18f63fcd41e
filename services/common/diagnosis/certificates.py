"""Whether others can trust the certificate of a process, and for how long."""

from collections.abc import Collection
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID

from services.common.clock import Clock
from services.common.diagnosis.findings import Finding
from services.common.tls.files import TlsError, TlsFolder

SUBJECT = "certificate"
USAGES = {ExtendedKeyUsageOID.SERVER_AUTH: "server auth", ExtendedKeyUsageOID.CLIENT_AUTH: "client auth"}
RENEWAL_SHARE = 3
"""A certificate is renewed when a third of its life is left."""


async def look_at_certificate(folder: Path, *, clock: Clock) -> list[Finding]:
    """Looks at the files of a TLS folder: whether they fit together, their age, and whom they name."""
    try:
        files = TlsFolder(folder).read()
    except TlsError as error:
        return [
            _finding(
                str(error).removesuffix("."), "Mount tls.crt, tls.key and ca.crt as their issuer wrote them"
            )
        ]
    chain = x509.load_pem_x509_certificates(files.certificate)
    authorities = x509.load_pem_x509_certificates(files.authorities)
    found = [*_look_at_age(chain[0], clock()), *_look_at_names(chain[0])]
    if not any(_is_issued_by(chain[-1], authority) for authority in authorities):
        found.append(
            _finding(
                "no authority in ca.crt issued it",
                "Put the issuing authority's certificate into ca.crt, everywhere",
            )
        )
    return found


def _look_at_age(certificate: x509.Certificate, now: datetime) -> list[Finding]:
    starts, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < starts:
        return [
            _finding(
                f"it is valid from {starts:%Y-%m-%d %H:%M} UTC only", "Correct the clock of this machine"
            )
        ]
    if now >= ends:
        return [_finding(f"it expired at {ends:%Y-%m-%d %H:%M} UTC", "Issue a new one")]
    if (ends - now) * RENEWAL_SHARE < ends - starts:
        return [
            _finding(
                f"it should have been renewed and expires at {ends:%Y-%m-%d %H:%M} UTC",
                "See why its issuer does not renew it",
            )
        ]
    return []


def _look_at_names(certificate: x509.Certificate) -> list[Finding]:
    found = []
    identities = _identities(certificate)
    if len(identities) != 1 or not identities[0].startswith("spiffe://"):
        shown = ", ".join(identities) or "none"
        found.append(
            _finding(
                f"it must name exactly one SPIFFE identity, and names {shown}",
                "Issue it with one URI, spiffe://…",
            )
        )
    missing = [name for usage, name in USAGES.items() if usage not in _usages(certificate)]
    if missing:
        found.append(
            _finding(f"its usages lack {' and '.join(missing)}", "Issue it for server auth and client auth")
        )
    return found


def _identities(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return names.get_values_for_type(x509.UniformResourceIdentifier)


def _usages(certificate: x509.Certificate) -> Collection[x509.ObjectIdentifier]:
    """Returns what a certificate may be used for. One that does not say may be used for everything."""
    try:
        return list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return USAGES.keys()


def _is_issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _finding(problem: str, remedy: str) -> Finding:
    return Finding(subject=SUBJECT, problem=problem, remedy=remedy)
