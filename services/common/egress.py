"""The guard for addresses that others supply: their text when they are given, and what is connected to later.

Every request that a process of ours makes goes through it, those to hosts of our own choosing too (`Origin`).

The text proves little, because names resolve anew each time. What counts is the address of the socket, so every
connection passes `check_address`, those to literal addresses included.
"""

import asyncio
import re
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from types import SimpleNamespace
from typing import Annotated, Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from pydantic import BeforeValidator
from typing_extensions import override
from yarl import URL

from services.common.name_servers import NameServers

URL_LENGTH_MAX = 2_048
DNS_TIMEOUT_SECONDS = 6.0
"""Longer than NameServers take to say whose fault it is."""
KEEPALIVE_SECONDS = 2.0
REQUEST_TIMEOUT_SECONDS = 15.0
TRUSTED_SECONDS = 60.0
"""For so long a socket that the name of a trusted origin led to may be opened: more than any connect takes."""

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Origin = tuple[str, int]
"""A host and its port, as a client connects to them."""
LookUp = Callable[[str, int], Awaitable[list[str]]]
"""Returns the addresses of a host name, at least one. Raises socket.gaierror; EAI_AGAIN when the fault may be ours."""

_PRIVATE = "must not point to a private address"
_MALFORMED = "must have a valid host name or address, and a valid port if any"

# IANA special-purpose registries, multicast and reserved space, and addresses that clouds keep for themselves.
_SPECIAL_V4 = tuple(
    (int(network[0]), int(network[-1]))
    for network in map(
        IPv4Network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16",
            "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24",
            "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24",
            "203.0.113.0/24", "224.0.0.0/3",
        ),
    )
)  # fmt: skip
_GLOBAL_V6 = IPv6Network("2000::/3")
# 2001::/23 holds Teredo, benchmarking and ORCHID; 2002::/16 is 6to4, which carries an IPv4 address.
_SPECIAL_V6 = tuple(
    map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"))
)
_NAT64 = IPv6Network("64:ff9b::/96")
_LOOPBACK = (IPv4Address("127.0.0.1"), IPv6Address("::1"))

_FORM = re.compile(r"(?i:https?)://(?:\[[0-9a-fA-F:.]+\]|[^][:/?#]+)(?::[0-9]{1,5})?(?:[/?#].*)?", re.ASCII)
_USER = re.compile(r"(?i:https?)://[^/?#]*@")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*")
_LOCAL_SUFFIXES = ("localhost", "localdomain", "local", "internal", "arpa")


class ForbiddenUrlError(Exception):
    """An address that we do not connect to. `why` completes the sentence "The address …"."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class EncodedBodyError(aiohttp.ClientPayloadError):
    """An answer that is compressed, although nobody asked for that. It was not read."""


@dataclass(frozen=True, kw_only=True)
class UrlPolicy:
    """Where others may point us."""

    private_targets_allowed: tuple[Network, ...] = ()
    """Blocks that are open, on every port, although they are private."""
    ports: tuple[int, ...] = (80, 443)
    origins_trusted: frozenset[Origin] = frozenset()
    """Chosen by our own settings: open wherever their names lead, on their port alone."""

    def allows_private(self, address: Address) -> bool:
        """Tells whether an address lies in a block that was opened."""
        return any(address in block for block in self.private_targets_allowed)

    @cached_property
    def allows_local_names(self) -> bool:
        """Whether names such as `localhost` may be used, because a loopback block is open."""
        return any(self.allows_private(address) for address in _LOOPBACK)


def parse_networks(blocks: str) -> tuple[Network, ...]:
    """Returns the blocks of a comma-separated list such as `127.0.0.0/8,fd00::/8`. Raises ValueError."""
    return tuple(ip_network(block.strip()) for block in blocks.split(",") if block.strip())


Networks = Annotated[tuple[Network, ...], BeforeValidator(parse_networks)]
"""A setting that lists blocks."""


def origin_of(url: str) -> Origin:
    """Returns what a client of an http or https address connects to. Raises ValueError."""
    parsed = URL(url)
    if parsed.scheme not in {"http", "https"} or not parsed.raw_host or not parsed.port:
        raise ValueError(f"{url!r} is not an address such as https://files.example.com")
    return parsed.raw_host, parsed.port


def parse_origins(urls: str) -> frozenset[Origin]:
    """Returns the origins of a comma-separated list such as `http://simulator:8080`. Raises ValueError."""
    return frozenset(origin_of(url.strip()) for url in urls.split(",") if url.strip())


Origins = Annotated[frozenset[Origin], BeforeValidator(parse_origins)]
"""A setting that lists hosts with their ports."""


def check_url(url: str, policy: UrlPolicy) -> None:
    """Refuses an address that is malformed or surely not public. Looks up no name, so it is fast.

    Raises ForbiddenUrlError.
    """
    if len(url) > URL_LENGTH_MAX:
        raise ForbiddenUrlError(f"must have at most {URL_LENGTH_MAX} characters")
    if not url.isprintable() or " " in url or "\\" in url:
        raise ForbiddenUrlError("must not contain spaces, control characters or backslashes")
    if not url[:8].lower().startswith(("http://", "https://")):
        raise ForbiddenUrlError("must be an http or https address")
    if _USER.match(url):
        raise ForbiddenUrlError("must not contain a user name or password")
    if _FORM.fullmatch(url) is None:
        raise ForbiddenUrlError(_MALFORMED)
    try:
        # The client's own parser: what is checked here is what it would connect to.
        parsed = URL(url)
    except ValueError:
        raise ForbiddenUrlError(_MALFORMED) from None
    _check_host((parsed.raw_host or "").removesuffix("."), parsed.port or 0, policy)


def check_address(address: Address, port: int, policy: UrlPolicy) -> None:
    """Refuses a special address or an unusual port, unless the address was opened. Raises ForbiddenUrlError."""
    real = _embedded(address)
    if policy.allows_private(real):
        return
    if _is_special(real):
        raise ForbiddenUrlError(_PRIVATE)
    _check_port(port, policy)


@asynccontextmanager
async def open_egress_session(
    policy: UrlPolicy,
    *,
    connections_max: int,
    look_up: LookUp | None = None,
    reads_encoded: bool = False,
) -> AsyncIterator[aiohttp.ClientSession]:
    """Opens a client whose every connection goes to a checked address; a redirect is an error, never followed.

    Requests raise ForbiddenUrlError, or aiohttp's own errors, for which a look-up's failure keeps its errno. No body is
    ever decompressed: one that is encoded is an EncodedBodyError, or `reads_encoded` as it came. Cookies and proxy
    variables are ignored.
    """
    async with AsyncExitStack() as stack:
        if look_up is None:
            name_servers = NameServers()
            stack.push_async_callback(name_servers.close)
            look_up = name_servers.look_up
        trusted = _TrustedTargets(policy)
        connector = aiohttp.TCPConnector(
            resolver=_CheckedResolver(policy, look_up, trusted),
            use_dns_cache=False,
            socket_factory=_checked_socket_factory(policy, trusted),
            limit=connections_max,
            keepalive_timeout=KEEPALIVE_SECONDS,
        )
        refusals = aiohttp.TraceConfig()
        refusals.on_request_redirect.append(_refuse_redirect)
        if not reads_encoded:
            refusals.on_request_end.append(_refuse_encoded)
        yield await stack.enter_async_context(
            aiohttp.ClientSession(
                connector=connector,
                trace_configs=[refusals],
                timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_SECONDS),
                auto_decompress=False,
                skip_auto_headers=("Accept-Encoding",),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        )


def _check_host(host: str, port: int, policy: UrlPolicy) -> None:
    labels = host.split(".")
    if ":" in host or _NUMBER.fullmatch(labels[-1]):
        check_address(_parse_address(host), port, policy)
        return
    if _NAME.fullmatch(host) is None:
        raise ForbiddenUrlError(_MALFORMED)
    is_local = len(labels) == 1 or labels[-1] in _LOCAL_SUFFIXES
    if is_local and not policy.allows_local_names:
        raise ForbiddenUrlError(_PRIVATE)
    if not is_local:
        _check_port(port, policy)


def _parse_address(text: str) -> Address:
    # Zones, and short, octal, hexadecimal and whole-number forms: nobody needs them to name a public host.
    if "%" not in text:
        with suppress(ValueError):
            return ip_address(text)
    raise ForbiddenUrlError(_MALFORMED)


def _check_port(port: int, policy: UrlPolicy) -> None:
    if port not in policy.ports:
        allowed = " or ".join(map(str, policy.ports))
        raise ForbiddenUrlError(f"must use port {allowed}")


def _embedded(address: Address) -> Address:
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address


def _is_special(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        number = int(address)
        return any(first <= number <= last for first, last in _SPECIAL_V4)
    return address not in _GLOBAL_V6 or any(address in network for network in _SPECIAL_V6)


class _TrustedTargets:
    """Tells which sockets belong to trusted origins: those written as addresses, and those that names just led to."""

    def __init__(self, policy: UrlPolicy) -> None:
        self._origins = policy.origins_trusted
        self._until: dict[tuple[Address, int], float] = {}

    def names(self, host: str, port: int) -> bool:
        return (host, port) in self._origins

    def note(self, addresses: list[Address], port: int) -> None:
        now = time.monotonic()
        self._until = {target: until for target, until in self._until.items() if until > now}
        self._until.update({(address, port): now + TRUSTED_SECONDS for address in addresses})

    def holds(self, address: Address, port: int) -> bool:
        is_noted = self._until.get((address, port), 0) > time.monotonic()
        return is_noted or (str(address), port) in self._origins


class _CheckedResolver(AbstractResolver):
    """Refuses a name that `check_url` refuses, or any of whose addresses is forbidden; of trusted origins nothing."""

    def __init__(self, policy: UrlPolicy, look_up: LookUp, trusted: _TrustedTargets) -> None:
        self._policy = policy
        self._look_up = look_up
        self._trusted = trusted

    @override
    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,
    ) -> list[ResolveResult]:
        is_trusted = self._trusted.names(host, port)
        if not is_trusted:
            _check_host(host.removesuffix("."), port, self._policy)
        try:
            async with asyncio.timeout(DNS_TIMEOUT_SECONDS):
                found = [_parse_address(text) for text in await self._look_up(host, port)]
        except TimeoutError:
            raise socket.gaierror(socket.EAI_AGAIN, "name resolution timed out") from None
        if is_trusted:
            self._trusted.note(found, port)
        else:
            for address in found:
                check_address(address, port, self._policy)
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in found
        ]

    @override
    async def close(self) -> None:
        pass


def _checked_socket_factory(policy: UrlPolicy, trusted: _TrustedTargets) -> Callable[[Any], socket.socket]:
    # Literal hosts never reach a resolver, but every connection takes its socket from here.
    def open_socket(target: tuple[int, int, int, str, tuple[Any, ...]]) -> socket.socket:
        family, kind, protocol, _, address = target
        target_address, port = _parse_address(address[0]), address[1]
        if not trusted.holds(target_address, port):
            check_address(target_address, port, policy)
        return socket.socket(family, kind, protocol)

    return open_socket


async def _refuse_redirect(
    _session: aiohttp.ClientSession, _context: SimpleNamespace, redirect: aiohttp.TraceRequestRedirectParams
) -> None:
    redirect.response.close()
    raise ForbiddenUrlError("must not redirect")


async def _refuse_encoded(
    _session: aiohttp.ClientSession, _context: SimpleNamespace, end: aiohttp.TraceRequestEndParams
) -> None:
    encoding = end.response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        end.response.close()
        raise EncodedBodyError(f"the body is encoded ({encoding[:20]!r}); only plain bodies are read")
