"""What is between this machine and the API, one thing after the other."""

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import SplitResult, urlsplit

from reelgate_client.cli.output import program
from reelgate_client.cli.profiles import Login

SECONDS = 10.0
SKEW_SECONDS = 30
EXPIRY_DAYS = 14


@dataclass(frozen=True)
class Finding:
    """What one look found."""

    name: str
    state: str
    """`ok`, `warning` or `failed`."""
    says: str
    advice: str = ""


def examine(found: Login, *, clock: Callable[[], float] = time.time) -> Iterator[Finding]:
    """Yields what each look finds, until one finds that the next ones make no sense."""
    url = urlsplit(found.base_url)
    where = f"profile {found.profile}" if found.profile else "the environment"
    yield Finding("login", "ok", f"{found.base_url}, from {where}")
    name = _resolved(url)
    yield name
    if name.state == "failed":
        return
    if url.scheme == "https":
        certificate = _certificate(url, now=clock())
        yield certificate
        if certificate.state == "failed":
            return
    yield from _answered(found, clock)


def _resolved(url: SplitResult) -> Finding:
    try:
        found = socket.getaddrinfo(url.hostname, _port(url), type=socket.SOCK_STREAM)
    except OSError as error:
        return Finding(
            "dns",
            "failed",
            f"{url.hostname} has no address: {error.strerror}",
            "check the address and the network",
        )
    return Finding(
        "dns", "ok", f"{url.hostname} is at {', '.join(sorted({str(each[4][0]) for each in found}))}"
    )


def _certificate(url: SplitResult, *, now: float) -> Finding:
    host = str(url.hostname)
    try:
        with (
            socket.create_connection((host, _port(url)), timeout=SECONDS) as plain,
            ssl.create_default_context().wrap_socket(plain, server_hostname=host) as secured,
        ):
            certificate: Any = secured.getpeercert()
    except ssl.SSLError as error:
        return Finding(
            "tls",
            "failed",
            f"The certificate is not accepted: {error.reason or error}",
            "check the clock and proxies on the way",
        )
    except OSError as error:
        return Finding(
            "tls", "failed", f"Nobody answers at {host}:{_port(url)}: {error}", "check firewalls and proxies"
        )
    days = int((ssl.cert_time_to_seconds(certificate["notAfter"]) - now) // 86_400)
    return Finding(
        "tls",
        "ok" if days > EXPIRY_DAYS else "warning",
        f"{secured.version()}, the certificate ends in {days} days",
    )


def _answered(found: Login, clock: Callable[[], float]) -> Iterator[Finding]:
    from reelgate_client import connect
    from reelgate_client.errors import AuthenticationError, ReelgateError

    try:
        with connect(found.api_key, base_url=found.base_url, max_retries=0, timeout=SECONDS) as client:
            with client.with_raw_response() as answers:
                balance = client.balance()
            whose = f"{client.contract.name}, {client.environment}"
    except AuthenticationError as error:
        quoted = f" (request id {error.request_id})" if error.request_id else ""
        yield Finding("key", "failed", f"{error.message}{quoted}", f"{program()} login")
        return
    except ReelgateError as error:
        yield Finding("api", "failed", str(error), "is this the address of the API? Try again in a moment")
        return
    headers = answers[-1].headers
    yield _clock(headers.get("date"), clock())
    yield Finding("key", "ok", f"{whose}, {balance['available']:g} credits")
    left, most = (int(headers.get(f"x-ratelimit-{name}", 0)) for name in ("remaining", "limit"))
    state = "ok" if left * 10 > most else "warning"
    yield Finding("limits", state, f"{left} of {most} calls are left in this minute")


def _clock(date: str | None, now: float) -> Finding:
    if date is None:
        return Finding("clock", "warning", "The answer has no date")
    skew = round(now - parsedate_to_datetime(date).timestamp())
    if abs(skew) <= SKEW_SECONDS:
        return Finding("clock", "ok", f"{abs(skew)} seconds from that of the API")
    return Finding(
        "clock",
        "failed",
        f"{abs(skew)} seconds {'ahead of' if skew > 0 else 'behind'} that of the API",
        "set the clock: signatures of webhooks have a time",
    )


def _port(url: SplitResult) -> int:
    return url.port or (443 if url.scheme == "https" else 80)
