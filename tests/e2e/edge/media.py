"""The media host of a local stack, in the tests' own process."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from services.media.file_host import file_host
from services.media.limits import MediaLimits
from services.media.prober import REFERENCE_COMMAND, Prober
from services.media.signed_addresses import AddressSigner
from services.media.upload_host import UploadHost
from tests.conftest import free_port

SIGNER = AddressSigner(secret="of this host")
"""Signs addresses of uploads as jobs does."""


@asynccontextmanager
async def serving_media(
    folder: Path,
    *,
    port: int = 0,
    signer: AddressSigner | None = None,
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[str]:
    """Serves a folder until the block ends, at the address it returns."""
    chosen = port or free_port()
    prober = Prober(limits=MediaLimits(), processes_max=1, command=REFERENCE_COMMAND)
    uploads = UploadHost(folder=folder, signer=SIGNER, prober=prober)
    runner = web.AppRunner(
        file_host(folder, uploads, signer=signer, clock=clock), access_log=None, shutdown_timeout=0
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", chosen).start()
        async with prober.running():
            yield f"127.0.0.1:{chosen}"
    finally:
        await runner.cleanup()
