"""The port that Prometheus reads: plaintext HTTP, one path, and nothing that a client may choose.

A server of its own, because it must be bounded whoever connects: in connections, in bytes and in time.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from typing_extensions import override

from services.common.single_flight import SingleFlight
from services.common.telemetry.metrics import REGISTRY

PATH = "/metrics"
CONNECTIONS_MAX = 8
"""At once; more are closed unread."""
REQUEST_BYTES_MAX = 8 * 1024
EXCHANGE_SECONDS_MAX = 5.0
FRESH_SECONDS = 1.0
"""Whoever asks sooner gets the same answer again, so that no number of scrapes costs more than this."""


@asynccontextmanager
async def exposed(address: str, *, registry: CollectorRegistry = REGISTRY) -> AsyncIterator[str]:
    """Answers `GET /metrics` at `host:port` until the block ends. Yields the address that was bound.

    Raises OSError if the address cannot be bound.
    """
    exposition = _Exposition(registry)
    host, _, port = address.rpartition(":")
    server = await asyncio.start_server(exposition.serve, host, int(port), limit=REQUEST_BYTES_MAX)
    try:
        yield f"{host}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await exposition.close()


class _Exposition:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._rendering: SingleFlight[str, bytes] = SingleFlight()
        self._rendered = b""
        self._rendered_at = float("-inf")
        self._exchanges: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._exchanges) >= CONNECTIONS_MAX:
            writer.close()
            return
        exchange = asyncio.current_task()
        assert exchange is not None
        self._exchanges.add(exchange)
        try:
            async with asyncio.timeout(EXCHANGE_SECONDS_MAX):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(await self._answer(head))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self._exchanges.discard(exchange)
            writer.close()

    async def close(self) -> None:
        """Ends the exchanges under way."""
        for exchange in (left := list(self._exchanges)):
            exchange.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if path != PATH.encode():
            return _response("404 Not Found", b"There is nothing but /metrics here.\n")
        if method != b"GET":
            return _response("405 Method Not Allowed", b"Use GET.\n", "Allow: GET\r\n")
        if time.monotonic() - self._rendered_at >= FRESH_SECONDS:
            await self._rendering.run(PATH, self._render)
        return _response("200 OK", self._rendered)

    async def _render(self) -> bytes:
        rendered = []
        for family in self._registry.collect():
            rendered.append(generate_latest(_Family(family)))
            # Nobody waits for more than one family.
            await asyncio.sleep(0)
        self._rendered, self._rendered_at = b"".join(rendered), time.monotonic()
        return self._rendered


class _Family(Collector):
    """One of the families of a registry."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    @override
    def collect(self) -> Iterable[Metric]:
        return (self._family,)


def _response(status: str, body: bytes, headers: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\n{headers}Content-Type: {CONTENT_TYPE_PLAIN_0_0_4}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body
