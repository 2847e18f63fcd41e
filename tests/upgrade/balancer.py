"""An address that stays while the processes behind it change, as a Service of a cluster is one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.conftest import free_port


class Balancer:
    """Passes each new connection on to the newest backend. Those that are open stay where they are."""

    def __init__(self) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self.backends: list[str] = []

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Balancer"]:
        """Listens until the block ends."""
        host, port = self.address.split(":")
        server = await asyncio.start_server(self._serve, host, int(port))
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            host, port = self.backends[-1].split(":")
            theirs, ours = await asyncio.open_connection(host, int(port))
            await asyncio.gather(_pass_on(reader, ours), _pass_on(theirs, writer))
        writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while read := await reader.read(65_536):
            writer.write(read)
            await writer.drain()
    writer.close()
