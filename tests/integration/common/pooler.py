"""A pooler in transaction mode, as pgbouncer is one: all sessions share one connection, in turn."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg

NO_TLS = {80877103, 80877104}
"""Numbers of the requests for TLS and GSS encryption."""
TOLD = {
    "server_version": "18.0",
    "client_encoding": "UTF8",
    "in_hot_standby": "off",
    "default_transaction_read_only": "off",
}


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


WELCOME = b"".join(
    (
        _message(b"R", struct.pack("!i", 0)),
        *(_message(b"S", f"{name}\0{value}\0".encode()) for name, value in TOLD.items()),
        _message(b"K", struct.pack("!ii", 1, 1)),
        _message(b"Z", b"I"),
    )
)


class _Server:
    """The one connection to PostgreSQL."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True, sslmode="disable")
        self._socket = socket.socket(fileno=socket.dup(self._connection.fileno()))
        self._turn = asyncio.Lock()
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection(sock=self._socket)

    async def answer(self, request: bytes) -> bytes:
        """Passes on what ends with a Sync or is a simple query. Returns all that comes until the server is ready again."""
        async with self._turn:
            self._writer.write(request)
            answers = b""
            while True:
                head = await self._reader.readexactly(5)
                answers += head + await self._reader.readexactly(struct.unpack("!i", head[1:])[0] - 4)
                if head[:1] == b"Z":
                    return answers

    def close(self) -> None:
        self._writer.close()
        self._connection.close()


@asynccontextmanager
async def transaction_pooler(url: str) -> AsyncIterator[int]:
    """Yields the port of a pooler before the database at `url`. Any role and password will do."""
    server = _Server(url)
    await server.open()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            [length, number] = struct.unpack("!ii", await reader.readexactly(8))
            await reader.readexactly(length - 8)
            if number not in NO_TLS:
                break
            writer.write(b"N")
        writer.write(WELCOME)
        while (request := await reader.read(65_536)) and request[:1] != b"X":
            writer.write(await server.answer(request))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        yield int(listening.sockets[0].getsockname()[1])
    server.close()
