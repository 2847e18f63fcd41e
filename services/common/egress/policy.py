"""Which hosts, addresses and ports others may point us to."""

import re
from collections.abc import Container
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated

from pydantic import BeforeValidator

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Origin = tuple[str, int]
"""A host and its port, as a client connects to them."""

_PRIVATE = "must not point to a private address"
MALFORMED = "must have a valid host name or address, and a valid port if any"

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
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*")
_LOCAL_SUFFIXES = ("localhost", "localdomain", "local", "internal", "arpa")


class ForbiddenUrlError(Exception):
    """An address that we do not connect to. `why` completes the sentence "The address …"."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, kw_only=True)
class UrlPolicy:
    """Where others may point us."""

    private_targets_allowed: tuple[Network, ...] = ()
    """Blocks that are open, on every port, although they are private."""
    ports: tuple[int, ...] = (80, 443)
    origins_trusted: Container[Origin] = frozenset()
    """Chosen by our own settings: open wherever their names lead, on their port alone."""

    def allows_private(self, address: Address) -> bool:
        """Returns whether an address lies in a block that was opened."""
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


def check_address(address: Address, port: int, policy: UrlPolicy) -> None:
    """Refuses a special address or an unusual port, unless the address was opened. Raises ForbiddenUrlError."""
    real = _embedded(address)
    if policy.allows_private(real):
        return
    if _is_special(real):
        raise ForbiddenUrlError(_PRIVATE)
    _check_port(port, policy)


def check_host(host: str, port: int, policy: UrlPolicy) -> None:
    """Refuses a name or literal address that is malformed or surely not public. Raises ForbiddenUrlError."""
    labels = host.split(".")
    if ":" in host or _NUMBER.fullmatch(labels[-1]):
        check_address(parse_address(host), port, policy)
        return
    if _NAME.fullmatch(host) is None:
        raise ForbiddenUrlError(MALFORMED)
    is_local = len(labels) == 1 or labels[-1] in _LOCAL_SUFFIXES
    if is_local and not policy.allows_local_names:
        raise ForbiddenUrlError(_PRIVATE)
    if not is_local:
        _check_port(port, policy)


def parse_address(text: str) -> Address:
    """Returns an address in its usual form. Raises ForbiddenUrlError."""
    # Zones, and short, octal, hexadecimal and whole-number forms: nobody needs them to name a public host.
    if "%" not in text:
        with suppress(ValueError):
            return ip_address(text)
    raise ForbiddenUrlError(MALFORMED)


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
