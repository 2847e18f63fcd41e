"""A real Envoy with the real configuration, on free ports, for as long as a block lasts."""

import asyncio
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from services.edge.extension import Config
from services.edge.process import command
from services.edge.render import as_yaml, render
from services.edge.settings import EdgeSettings
from services.edge.tls import secret_text
from tests.conftest import free_port
from tests.patience import PATIENCE_SECONDS


@dataclass(frozen=True)
class RunningEdge:
    settings: EdgeSettings
    process: subprocess.Popen[bytes]
    log: Path
    """Where Envoy's own messages and the access log go."""

    @property
    def address(self) -> str:
        return self.settings.listen_address

    @property
    def url(self) -> str:
        scheme = "https" if self.settings.tls_certificate_file else "http"
        return f"{scheme}://{self.address}"


def unchanged(config: Config) -> None:
    """Leaves a configuration as it was rendered."""


@asynccontextmanager
async def running_edge(
    *, change: Callable[[Config], None] = unchanged, ready_path: str = "/readyz", **settings: Any
) -> AsyncIterator[RunningEdge]:
    """Runs Envoy with these settings until the block ends; it listens and answers `ready_path` with 200 by then.

    `change` may alter what was rendered, to try deadlines without waiting for them.
    """
    wanted = EdgeSettings(
        listen_address=f"127.0.0.1:{free_port()}", admin_address=f"127.0.0.1:{free_port()}", **settings
    )
    folder = Path(tempfile.mkdtemp(prefix="reelgate-edge-"))
    try:
        file, log, secret_file = folder / "envoy.yaml", folder / "envoy.log", folder / "tls.yaml"
        if wanted.tls_certificate_file is not None:
            secret_file.write_text(secret_text(wanted), encoding="utf-8")
        config = render(wanted, secret_file)
        change(config)
        file.write_text(as_yaml(config), encoding="utf-8")
        process = _start(command(file, concurrency=wanted.concurrency), log)
        try:
            edge = RunningEdge(wanted, process, log)
            await _ready(edge, ready_path)
            yield edge
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)
    finally:
        shutil.rmtree(folder)


def _start(words: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(words, stdout=output, stderr=output)


async def _ready(edge: RunningEdge, path: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    # Who has to say first whose the connection is cannot just ask.
    says_address_first = edge.settings.proxy_protocol
    url = f"http://{edge.settings.admin_address}/ready" if says_address_first else f"{edge.url}{path}"
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=1)) as client:
        while not await _answers(client, url):
            assert edge.process.poll() is None, edge.log.read_text()
            assert time.monotonic() < deadline, f"{path} is not ready:\n{edge.log.read_text()}"
            await asyncio.sleep(0.05)


async def _answers(client: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with client.get(url, ssl=False) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False
