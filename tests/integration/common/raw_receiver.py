"""A server that keeps every byte it was sent and answers with whatever bytes it is told to."""

import asyncio
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"


class After(Enum):
    """What happens to the connection once the answer is sent."""

    KEEP = auto()
    CLOSE = auto()
    RESET = auto()
    HOLD = auto()


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One answer, and what becomes of its connection."""

    sent: bytes = OK
    after: After = After.KEEP


@dataclass(kw_only=True)
class RawReceiver:
    """`requests` holds heads with their bodies, byte for byte, in the order in which they came."""

    port: int = 0
    requests: list[bytes] = field(default_factory=list)
    connection_count: int = 0
    _serving: list[tuple[asyncio.Task[None], asyncio.StreamWriter]] = field(default_factory=list)
    reply_to: Callable[[bytes], Reply] = lambda _request: Reply()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def targets(self) -> list[bytes]:
        """What was asked for, as the request lines say."""
        return [
            request.split(b"\r\n", 1)[0].split(b" ", 1)[1].removesuffix(b" HTTP/1.1")
            for request in self.requests
        ]

    def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connection_count += 1
        self._serving.append((asyncio.create_task(self._serve(reader, writer)), writer))

    async def close(self) -> None:
        for serving, writer in self._serving:
            serving.cancel()
            await asyncio.wait([serving])
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()
        # Below TLS the socket is closed a moment later.
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while await self._answer(reader, writer) is After.KEEP:
                pass
        writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> After:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", head)
        request = head + (await reader.readexactly(int(length[1])) if length else b"")
        self.requests.append(request)
        reply = self.reply_to(request)
        writer.write(reply.sent)
        await writer.drain()
        if reply.after is After.HOLD:
            await reader.read()
        if reply.after is After.RESET:
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        if reply.after is After.CLOSE:
            writer.write_eof() if writer.can_write_eof() else writer.close()
            await reader.read()
        return reply.after


@asynccontextmanager
async def open_raw_receiver(tls: ssl.SSLContext | None = None) -> AsyncIterator[RawReceiver]:
    """Opens a receiver on a free port of 127.0.0.1."""
    receiver = RawReceiver()
    server = await asyncio.start_server(receiver.connect, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        await receiver.close()
