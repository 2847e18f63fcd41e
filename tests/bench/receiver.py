"""A customer's server in a process of its own, lean because it shares the machine with what it measures.

How it answers is in the path: `/hook` at once, `/slow` after SLOW_SECONDS, `/tar` a byte a second for ever. Each of its
ports is another receiver to whoever delivers.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp

from tests.bench.processes import start
from tests.conftest import free_port

SLOW_SECONDS = 0.25
START_SECONDS = 20.0
_OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@dataclass(frozen=True, kw_only=True)
class Received:
    """One request, and the Unix time when it was whole."""

    at: float
    headers: dict[str, str]
    body: str

    @property
    def event_id(self) -> str:
        return self.headers["webhook-id"]


@dataclass(frozen=True, kw_only=True)
class Receiver:
    """The bench's side of it."""

    origins: Sequence[str]
    """`http://host:port` of each port."""

    @property
    def hook(self) -> str:
        """The address that answers at once."""
        return f"{self.origins[0]}/hook"

    async def take(self) -> list[Received]:
        """Returns what arrived since the last time, and lets the receiver forget it."""
        async with aiohttp.ClientSession() as client, client.get(self.origins[0]) as answer:
            return [Received(**each) for each in json.loads(await answer.read())]


@asynccontextmanager
async def running_receiver(*, ports: int) -> AsyncIterator[Receiver]:
    """Runs a receiver until the block ends. It answers by then."""
    chosen = [free_port() for _ in range(ports)]
    async with AsyncExitStack() as opened:
        await start(opened, "tests.bench.receiver", *map(str, chosen), environment={})
        receiver = Receiver(origins=[f"http://127.0.0.1:{port}" for port in chosen])
        async with asyncio.timeout(START_SECONDS):
            while not await _answers(receiver):  # noqa: ASYNC110  nobody rings
                await asyncio.sleep(0.05)
        yield receiver


def first_arrivals(received: Iterable[Received]) -> dict[str, float]:
    """Returns when each event arrived for the first time, by id."""
    first: dict[str, float] = {}
    for each in received:
        first.setdefault(each.event_id, each.at)
    return first


async def _answers(receiver: Receiver) -> bool:
    try:
        await receiver.take()
    except aiohttp.ClientConnectorError:
        return False
    return True


class _Connection(asyncio.Protocol):
    """Notes each request whole and unparsed; the report parses."""

    def __init__(self, noted: list[tuple[float, bytes]]) -> None:
        self._noted = noted
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head_end = self._buffer.find(b"\r\n\r\n")
        if head_end < 0:
            return
        if self._buffer.startswith(b"GET "):
            self._report()
            return
        at = self._buffer.lower().index(b"content-length:") + 15
        if len(self._buffer) < head_end + 4 + int(self._buffer[at : self._buffer.index(b"\r", at)]):
            return
        self._noted.append((time.time(), bytes(self._buffer)))
        path = self._buffer[5 : self._buffer.index(b" ", 5)]
        self._buffer.clear()
        if path == b"/tar":
            self._transport.write(b"HTTP/1.1 200 OK\r\n\r\n")
            self._drip()
        elif path == b"/slow":
            asyncio.get_running_loop().call_later(SLOW_SECONDS, self._transport.write, _OK)
        else:
            self._transport.write(_OK)

    def _drip(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(b".")
            asyncio.get_running_loop().call_later(1.0, self._drip)

    def _report(self) -> None:
        self._buffer.clear()
        body = json.dumps([_parse(at, request) for at, request in self._noted]).encode()
        self._noted.clear()
        self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))


def _parse(at: float, request: bytes) -> dict[str, object]:
    head, _, body = request.decode().partition("\r\n\r\n")
    fields = (line.partition(":") for line in head.split("\r\n")[1:])
    return {"at": at, "headers": {name.lower(): value.strip() for name, _, value in fields}, "body": body}


async def _serve(ports: Sequence[int]) -> None:
    loop = asyncio.get_running_loop()
    noted: list[tuple[float, bytes]] = []
    for port in ports:
        await loop.create_server(lambda: _Connection(noted), "127.0.0.1", port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve([int(port) for port in sys.argv[1:]]))
