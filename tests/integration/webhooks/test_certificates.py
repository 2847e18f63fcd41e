"""What is wrong with a receiver's certificate is told as a sentence, and nothing is sent to it."""

import asyncio
import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from services.common.clock import utc_now
from services.common.egress.policy import UrlPolicy, parse_networks
from services.webhooks.clients import open_receivers
from services.webhooks.domain import Answer, NoAnswer
from tests.integration.common.raw_receiver import open_raw_receiver

LOOPBACK = UrlPolicy(private_targets_allowed=parse_networks("127.0.0.0/8"))
HOST = "hooks.localhost"


def _certificate(folder: Path, *, host: str = HOST, days: int = 1) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = utc_now()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=3))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(secret + certificate.public_bytes(Encoding.PEM))
    return path


async def _loopback(_host: str, _port: int) -> list[str]:
    return ["127.0.0.1"]


async def _post(certificate: Path, *, trusts: bool = True) -> tuple[Answer | NoAnswer, int]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    trusted = ssl.create_default_context()
    if trusts:
        trusted.load_verify_locations(certificate)
    async with (
        open_raw_receiver(tls) as receiver,
        open_receivers(
            LOOPBACK, clock=utc_now, connections_max=4, look_up=_loopback, tls=trusted
        ) as receivers,
    ):
        url = f"https://{HOST}:{receiver.port}/a%2Fb?"
        result = await receivers.post(url, headers={}, body=b"{}")
        if isinstance(result, Answer):
            assert await receivers.post(url, headers={}, body=b"{}") == result
            assert receiver.targets == [b"/a%2Fb?"] * 2
            assert receiver.connection_count == 1
    return result, len(receiver.requests)


async def test_a_trusted_receiver_is_answered_to(tmp_path: Path) -> None:
    assert await _post(_certificate(tmp_path)) == (Answer(status=200, excerpt=b"OK"), 2)


@pytest.mark.parametrize(
    ("host", "days", "trusts", "error"),
    [
        ("other.example", 1, True, "the certificate is not valid for this host"),
        (HOST, -1, True, "the certificate has expired"),
        (HOST, 1, False, "the certificate is self-signed"),
    ],
)
async def test_a_certificate_that_is_not_accepted(
    tmp_path: Path, host: str, days: int, *, trusts: bool, error: str
) -> None:
    certificate = _certificate(tmp_path, host=host, days=days)

    assert await _post(certificate, trusts=trusts) == (NoAnswer(error=error, is_ours=False), 0)


async def test_a_receiver_that_speaks_no_tls() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        await reader.read()
        writer.close()

    async with (
        await asyncio.start_server(answer, "127.0.0.1", 0) as server,
        open_receivers(LOOPBACK, clock=utc_now, connections_max=4) as receivers,
    ):
        port = server.sockets[0].getsockname()[1]
        result = await receivers.post(f"https://127.0.0.1:{port}/", headers={}, body=b"{}")

    assert result == NoAnswer(error="no secure connection could be negotiated", is_ours=False)
