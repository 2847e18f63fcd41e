"""The client for deliveries: one call is one POST, whose answer counts as soon as its status line has come."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from aiohappyeyeballs import start_connection
from yarl import URL

from services.common.egress.answer import AnswerError, AnswerReader
from services.common.egress.connection import Connection
from services.common.egress.kept import KeptConnections, Place
from services.common.egress.policy import Address, UrlPolicy
from services.common.egress.sockets import (
    CheckedResolver,
    LookUp,
    OpenSocket,
    family_of,
    open_checked_sockets,
)
from services.common.egress.urls import outgoing_url

NEXT_ADDRESS_SECONDS = 0.25
"""After so long without a connection the next address of a name is tried as well: RFC 8305."""


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What a server said."""

    status: int
    headers: Mapping[str, str]
    """By name in lower case, as far as they came."""
    excerpt: bytes
    """The first bytes of the body, as far as they came."""


@dataclass(frozen=True, kw_only=True)
class Poster:
    """Posts to checked addresses over connections that are kept for a moment. Redirects are ordinary answers."""

    resolver: CheckedResolver
    open_socket: OpenSocket
    kept: KeptConnections
    room: asyncio.Semaphore
    tls: ssl.SSLContext
    excerpt_bytes_max: int
    body_bytes_max: int

    async def post(
        self, url: str, *, headers: Mapping[str, str], body: bytes, timeout_seconds: float
    ) -> Answered:
        """Sends one request, once, and returns the answer: what its status line says stands, whatever follows it.

        Raises ForbiddenUrlError, AnswerError, TimeoutError (without an errno: after `timeout_seconds`) or OSError.
        """
        target = outgoing_url(url)
        reader = AnswerReader(excerpt_bytes_max=self.excerpt_bytes_max, body_bytes_max=self.body_bytes_max)
        try:
            async with asyncio.timeout(timeout_seconds), self.room:
                await self._exchange(target, _render(target, headers, body), reader)
        except (AnswerError, OSError):
            if reader.status is None:
                raise
        assert reader.status is not None
        return Answered(status=reader.status, headers=reader.headers, excerpt=bytes(reader.excerpt))

    async def _exchange(self, target: URL, request: bytes, reader: AnswerReader) -> None:
        place = (target.scheme, target.raw_host or "", target.port or 0)
        connection = self.kept.take(place) or await self._connect(place)
        try:
            connection.send(request)
            await reader.read(connection)
        finally:
            if reader.is_clean:
                self.kept.put(place, connection)
            else:
                connection.abort()

    async def _connect(self, place: Place) -> Connection:
        scheme, host, port = place
        opened = await start_connection(
            [
                (family_of(address), socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (str(address), port))
                for address in await self._addresses(host, port)
            ],
            happy_eyeballs_delay=NEXT_ADDRESS_SECONDS,
            interleave=1,
            socket_factory=self.open_socket,
        )
        tls: dict[str, Any] = (
            {"ssl": self.tls, "server_hostname": host.rstrip(".")} if scheme == "https" else {}
        )
        try:
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(Connection, sock=opened, **tls)
        except BaseException:
            opened.close()
            raise
        return connection

    async def _addresses(self, host: str, port: int) -> list[Address]:
        try:
            return [ip_address(host)]
        except ValueError:
            return await self.resolver.addresses(host, port)


@asynccontextmanager
async def open_poster(
    policy: UrlPolicy,
    *,
    connections_max: int,
    excerpt_bytes_max: int,
    body_bytes_max: int,
    look_up: LookUp | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Poster]:
    """Opens a client that has `connections_max` requests under way at most, and as many unused connections.

    It reads up to `body_bytes_max` of a body and returns up to `excerpt_bytes_max`.
    """
    async with AsyncExitStack() as stack:
        resolver, open_socket = await stack.enter_async_context(open_checked_sockets(policy, look_up))
        kept = KeptConnections(connections_max=connections_max)
        stack.push_async_callback(kept.close)
        yield Poster(
            resolver=resolver,
            open_socket=open_socket,
            kept=kept,
            room=asyncio.Semaphore(connections_max),
            tls=tls or _default_tls(),
            excerpt_bytes_max=excerpt_bytes_max,
            body_bytes_max=body_bytes_max,
        )


def _default_tls() -> ssl.SSLContext:
    tls = ssl.create_default_context()
    tls.set_alpn_protocols(["http/1.1"])
    return tls


def _render(target: URL, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = [
        f"POST {target.raw_path_qs} HTTP/1.1",
        f"Host: {target.host_port_subcomponent}",
        "Accept: */*",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    assert not any("\r" in line or "\n" in line for line in lines)
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body
