"""What connections are opened with: a resolver and a maker of sockets that check every address."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from services.common.egress.name_servers import NameServers
from services.common.egress.policy import Address, UrlPolicy, check_address, check_host, parse_address

DNS_TIMEOUT_SECONDS = 6.0
"""Longer than NameServers need to decide whose fault a failure is."""
TRUSTED_SECONDS = 60.0
"""How long an address that a trusted name resolved to may be connected to: longer than any connect takes."""

LookUp = Callable[[str, int], Awaitable[list[str]]]
"""Returns the addresses of a host name, at least one. Raises socket.gaierror; EAI_AGAIN when the fault may be ours."""
OpenSocket = Callable[[tuple[int, int, int, str, tuple[Any, ...]]], socket.socket]
"""Opens an unconnected socket for a target: family, kind, protocol, canonical name and address. Raises ForbiddenUrlError."""


class TrustedTargets:
    """Knows which addresses belong to trusted origins: literal ones, and those that their names just resolved to."""

    def __init__(self, policy: UrlPolicy) -> None:
        self._origins = policy.origins_trusted
        self._until: dict[tuple[Address, int], float] = {}

    def names(self, host: str, port: int) -> bool:
        """Returns whether a host and port, as they are written, are a trusted origin."""
        return (host, port) in self._origins

    def note(self, addresses: list[Address], port: int) -> None:
        """Treats these addresses as a trusted origin's for TRUSTED_SECONDS."""
        now = time.monotonic()
        self._until = {target: until for target, until in self._until.items() if until > now}
        self._until.update({(address, port): now + TRUSTED_SECONDS for address in addresses})

    def holds(self, address: Address, port: int) -> bool:
        """Returns whether a socket may be opened because its origin is trusted."""
        is_noted = self._until.get((address, port), 0) > time.monotonic()
        return is_noted or (str(address), port) in self._origins


class CheckedResolver:
    """Refuses a name that `check_url` refuses or that has a forbidden address. Trusted origins are never refused."""

    def __init__(self, policy: UrlPolicy, look_up: LookUp, trusted: TrustedTargets) -> None:
        self._policy = policy
        self._look_up = look_up
        self._trusted = trusted

    async def addresses(self, host: str, port: int) -> list[Address]:
        """Returns the addresses of a host name. Raises ForbiddenUrlError or socket.gaierror."""
        is_trusted = self._trusted.names(host, port)
        if not is_trusted:
            check_host(host.removesuffix("."), port, self._policy)
        try:
            async with asyncio.timeout(DNS_TIMEOUT_SECONDS):
                found = [parse_address(text) for text in await self._look_up(host, port)]
        except TimeoutError:
            raise socket.gaierror(socket.EAI_AGAIN, "name resolution timed out") from None
        if is_trusted:
            self._trusted.note(found, port)
        else:
            for address in found:
                check_address(address, port, self._policy)
        return found


def family_of(address: Address) -> socket.AddressFamily:
    """Returns the family of sockets that connect to an address."""
    return socket.AF_INET if address.version == 4 else socket.AF_INET6


@asynccontextmanager
async def open_checked_sockets(
    policy: UrlPolicy, look_up: LookUp | None
) -> AsyncIterator[tuple[CheckedResolver, OpenSocket]]:
    """Opens the two guards that every connection passes. Without `look_up` they ask the name servers of the machine."""
    async with AsyncExitStack() as stack:
        if look_up is None:
            name_servers = NameServers()
            stack.push_async_callback(name_servers.close)
            look_up = name_servers.look_up
        trusted = TrustedTargets(policy)
        yield CheckedResolver(policy, look_up, trusted), checked_socket_factory(policy, trusted)


def checked_socket_factory(policy: UrlPolicy, trusted: TrustedTargets) -> OpenSocket:
    """Returns what opens a socket for a target, or raises ForbiddenUrlError where connections are forbidden."""

    # Literal hosts never reach a resolver, but every connection takes its socket from here.
    def open_socket(target: tuple[int, int, int, str, tuple[Any, ...]]) -> socket.socket:
        family, kind, protocol, _, address = target
        target_address, port = parse_address(address[0]), address[1]
        if not trusted.holds(target_address, port):
            check_address(target_address, port, policy)
        return socket.socket(family, kind, protocol)

    return open_socket
