"""The media host of a local stack, in the tests' own process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from services.media.file_host import file_host
from tests.conftest import free_port


@asynccontextmanager
async def serving_media(folder: Path, *, port: int = 0) -> AsyncIterator[str]:
    """Serves a folder until the block ends, at the address it returns."""
    chosen = port or free_port()
    runner = web.AppRunner(file_host(folder), access_log=None, shutdown_timeout=0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", chosen).start()
        yield f"127.0.0.1:{chosen}"
    finally:
        await runner.cleanup()
