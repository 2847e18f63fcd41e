"""A process that is to stop is found unready first, and serves meanwhile."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx2
import pytest

from tests.patience import PATIENCE_SECONDS


@pytest.fixture
def address() -> str:
    """A free one."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture
def process(address: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that gives a minute's notice."""
    settings = {"MCP_LISTEN_ADDRESS": address, "MCP_NOTICE_SECONDS": "60"}
    with subprocess.Popen(
        [sys.executable, "-m", "services.mcp", "serve"],
        env={**os.environ, **settings},
        stderr=subprocess.DEVNULL,
    ) as started:
        yield started
        started.kill()


def until(address: str, status: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            if httpx2.get(f"http://{address}/readyz").status_code == status:
                return
        except httpx2.HTTPError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"never {status}")


def test_a_process_that_stops_is_unready_and_goes_on(process: subprocess.Popen[bytes], address: str) -> None:
    until(address, 200)

    process.send_signal(signal.SIGTERM)
    until(address, 503)

    assert httpx2.get(f"http://{address}/healthz").status_code == 200
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_SECONDS) in {0, -signal.SIGTERM}
