"""What cert-manager makes of the Certificates of an overlay: a folder with tls.crt, tls.key and ca.crt for each Secret."""

from collections.abc import Iterable
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from deploy.checks.objects import Found
from services.common.clock import utc_now
from services.common.tls.files import AUTHORITIES, CERTIFICATE, KEY

USAGES = {"client auth": ExtendedKeyUsageOID.CLIENT_AUTH, "server auth": ExtendedKeyUsageOID.SERVER_AUTH}


class Authority:
    """Issues what Certificates ask for."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _common_name("authority")
        self._certificate = (
            self._draft(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def issue(self, wanted: Found, folder: Path, *, addresses: Iterable[str]) -> Path:
        """Writes the Secret of a Certificate into `folder`. Its names also lead to these addresses."""
        spec, key = wanted["spec"], ec.generate_private_key(ec.SECP256R1())
        names = [
            *map(x509.UniformResourceIdentifier, spec.get("uris", ())),
            *map(x509.DNSName, spec.get("dnsNames", ())),
            *(x509.IPAddress(ip_address(address)) for address in addresses),
        ]
        certificate = (
            self._draft(_common_name(wanted["metadata"]["name"]), key)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage([USAGES[usage] for usage in spec["usages"]]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        folder.mkdir()
        (folder / CERTIFICATE).write_bytes(certificate.public_bytes(Encoding.PEM))
        (folder / AUTHORITIES).write_bytes(self._certificate.public_bytes(Encoding.PEM))
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / KEY).write_bytes(secret)
        return folder

    def _draft(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = utc_now()
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
        )


def _common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
