"""A worker that is killed leaves no process behind that looks at its files."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.integration.media import planted_decoder
from tests.patience import PATIENCE_SECONDS

WORKER = f"""
import asyncio, sys
from pathlib import Path
from services.media.limits import MediaLimits
from services.media.prober import Prober

async def work():
    command = (sys.executable, "-I", {planted_decoder.__file__!r})
    prober = Prober(limits=MediaLimits(), processes_max=1, command=command)
    async with prober.running():
        await prober.probe(Path(sys.argv[1]), want_last_frame=False, owner=sys.argv[2] or None)

asyncio.run(work())
"""


def looking(worker: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    """Returns the process that the worker started and its fork, once both are there."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(found := psutil.Process(worker.pid).children(recursive=True)) < 2:
        assert time.monotonic() < deadline
        assert worker.poll() is None
        time.sleep(0.02)
    return found


@pytest.mark.parametrize("owner", ["", "account"])
@pytest.mark.parametrize("order", ["sleep", "spin"])
def test_a_killed_worker_leaves_none(tmp_path: Path, order: str, owner: str) -> None:
    file = tmp_path / order
    file.write_text(order)
    worker = subprocess.Popen([sys.executable, "-c", WORKER, str(file), owner])
    try:
        left = looking(worker)
    finally:
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()

    _, alive = psutil.wait_procs(left, timeout=PATIENCE_SECONDS)
    assert alive == []
