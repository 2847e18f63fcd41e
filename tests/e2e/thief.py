"""A proxy in front of a stack that lets answers get lost after the edge has given them."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Thief:
    """Passes every request on, and keeps the first answers to POST for itself."""

    def __init__(self, edge: str, thefts: int) -> None:
        self._host, _, port = edge.removeprefix("http://").partition(":")
        self._port = int(port)
        self.thefts = thefts
        self.stolen: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection, and one request on it."""
        edge_reader, edge_writer = await asyncio.open_connection(self._host, self._port)
        try:
            request = b""
            while b"\r\n\r\n" not in request:
                request += await reader.read(65536) or b"\r\n\r\n"
            edge_writer.write(re.sub(rb"(?i)connection: keep-alive", b"Connection: close", request))
            upload = asyncio.create_task(_pipe(reader, edge_writer))
            answer = await edge_reader.read()
            upload.cancel()
            if request.startswith(b"POST") and len(self.stolen) < self.thefts:
                self.stolen.append(answer)
            else:
                writer.write(answer)
                await writer.drain()
        finally:
            edge_writer.close()
            writer.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65536):
        writer.write(chunk)


@asynccontextmanager
async def thief(edge: str, thefts: int) -> AsyncIterator[tuple[Thief, str]]:
    """Starts a thief. Yields it, and the address to use in place of the edge's."""
    made = Thief(edge, thefts)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    async with server:
        yield made, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
