"""A lean gRPC load: one HTTP/2 connection with a fixed number of unary calls under way (RFC 9113, gRPC over HTTP/2).

A gRPC client would cost as much of the machine as the server that is measured on it.
"""

import asyncio
import ssl
import tempfile
import time
from collections.abc import Callable

from services.common.tls.files import TlsFiles
from tests.bench.load import CLOSE_SECONDS, Measured

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD_BYTES = 9
DATA, HEADERS, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 3, 4, 6, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
INITIAL_WINDOW_SIZE, WINDOW_MAX = b"\0\x04", 2**31 - 1
OK, REFUSED = 200, 500


class _Connection(asyncio.Protocol):
    """Makes the next call as soon as one was answered, until the deadline."""

    def __init__(
        self,
        head: bytes,
        next_message: Callable[[], bytes],
        *,
        at_once: int,
        until: float,
        measured: Measured,
    ) -> None:
        self._head = head
        self._next_message = next_message
        self._at_once = at_once
        self._until = until
        self._measured = measured
        self._received = bytearray()
        self._stream = -1
        self._sent_at: dict[int, float] = {}
        self._answered: set[int] = set()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        settings = _frame(SETTINGS, 0, 0, INITIAL_WINDOW_SIZE + WINDOW_MAX.to_bytes(4))
        window = _frame(WINDOW_UPDATE, 0, 0, (WINDOW_MAX - 2**16 + 1).to_bytes(4))
        transport.write(PREFACE + settings + window)
        for _ in range(self._at_once):
            self._call()

    def data_received(self, data: bytes) -> None:
        self._received += data
        at = 0
        while len(self._received) >= at + HEAD_BYTES:
            end = at + HEAD_BYTES + int.from_bytes(self._received[at : at + 3])
            if len(self._received) < end:
                break
            kind, flags = self._received[at + 3], self._received[at + 4]
            stream = int.from_bytes(self._received[at + 5 : at + HEAD_BYTES])
            self._take(kind, flags, stream, bytes(self._received[at + HEAD_BYTES : end]))
            at = end
        del self._received[:at]

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind in (SETTINGS, PING):
            if not flags & ACK:
                self._transport.write(_frame(kind, ACK, 0, payload if kind == PING else b""))
            return
        if kind == DATA:
            self._answered.add(stream)
        if kind == RST_STREAM or (kind in (DATA, HEADERS) and flags & END_STREAM):
            self._end(stream)

    def _end(self, stream: int) -> None:
        now = time.perf_counter()
        status = OK if stream in self._answered else REFUSED
        self._answered.discard(stream)
        self._measured.statuses[status] = self._measured.statuses.get(status, 0) + 1
        self._measured.latencies.append(now - self._sent_at.pop(stream))
        if now < self._until:
            self._call()
        elif not self._sent_at:
            self._transport.close()

    def _call(self) -> None:
        self._stream += 2
        message = self._next_message()
        self._sent_at[self._stream] = time.perf_counter()
        self._transport.write(
            _frame(HEADERS, END_HEADERS, self._stream, self._head)
            + _frame(DATA, END_STREAM, self._stream, b"\0" + len(message).to_bytes(4) + message)
        )


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


def _header(name: bytes, value: bytes) -> bytes:
    """Returns a header field spelt out (RFC 7541, 6.2.2): each shorter than 127 bytes."""
    return b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """Returns TLS for HTTP/2 that shows this certificate."""
    context = ssl.create_default_context(cadata=files.authorities.decode())
    context.set_alpn_protocols(["h2"])
    with tempfile.NamedTemporaryFile() as file:  # ssl takes a certificate from a file only
        file.write(files.certificate + files.key)
        file.flush()
        context.load_cert_chain(file.name)
    return context


async def call_repeatedly(
    address: str,
    method: str,
    next_message: Callable[[], bytes],
    *,
    at_once: int,
    seconds: float,
    tls: ssl.SSLContext | None = None,
) -> Measured:
    """Calls `/package.Service/Method` at `host:port` for a while, and returns what happened: 200 is OK, 500 any error."""
    head = b"".join(
        _header(name, value)
        for name, value in (
            (b":method", b"POST"),
            (b":scheme", b"http" if tls is None else b"https"),
            (b":path", method.encode()),
            (b":authority", address.encode()),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
        )
    )
    host, _, port = address.rpartition(":")
    measured = Measured()
    started = time.perf_counter()
    _, connection = await asyncio.get_running_loop().create_connection(
        lambda: _Connection(head, next_message, at_once=at_once, until=started + seconds, measured=measured),
        host,
        int(port),
        ssl=tls,
    )
    await asyncio.wait_for(connection.done, seconds + CLOSE_SECONDS)
    measured.seconds = time.perf_counter() - started
    return measured
