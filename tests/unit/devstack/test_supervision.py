import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from services.devstack.errors import StackError
from services.devstack.identity import identity_of, is_alive
from services.devstack.processes import ProcessSpec
from services.devstack.programs import Started, start_program
from services.devstack.state import ProcessState
from services.devstack.supervision import Supervised, until_ready
from tests.patience import PATIENCE_SECONDS

SLEEP = "import time; print('up', flush=True); time.sleep(3600)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"
PARENT = (
    "import subprocess; child = subprocess.Popen(['sleep', '60']); print(child.pid, flush=True); child.wait()"
)
NOBODY = "tcp://127.0.0.1:1"
BROKEN = "import sys; sys.exit('no such setting')"


async def started(spec: ProcessSpec, output: BinaryIO) -> Started:
    return start_program(spec, output)


@asynccontextmanager
async def kept_running(
    log_path: Path, script: str, *, ready_at: Sequence[str] = ()
) -> AsyncIterator[Supervised]:
    spec = ProcessSpec(
        name="child",
        argv=[sys.executable, "-c", script],
        environment={},
        port=0,
        ready_at=ready_at,
        stop_seconds=0.5,
    )
    process = Supervised(spec, log_path=log_path, changed=lambda: None, start=started)
    process.start()
    try:
        yield process
    finally:
        await process.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.01)


def said(log: Path) -> str:
    return log.read_text() if log.exists() else ""


def known(process: Supervised) -> ProcessState:
    state = process.state()
    assert state is not None
    return state


async def test_a_process_that_dies_is_started_again(tmp_path: Path) -> None:
    async with kept_running(tmp_path / "log", SLEEP) as process:
        await until(lambda: process.ready)
        first = known(process)

        os.kill(first.pid, signal.SIGKILL)

        await until(lambda: process.ready and known(process).pid != first.pid)
        assert known(process).restarts == 1
        assert not is_alive(first.identity)


async def test_a_process_that_never_starts_is_given_up_with_the_end_of_its_log(tmp_path: Path) -> None:
    async with kept_running(tmp_path / "log", BROKEN, ready_at=[NOBODY]) as process:
        with pytest.raises(StackError, match="child does not start") as failure:
            await until_ready([process], deadline=time.monotonic() + PATIENCE_SECONDS)

    assert str(failure.value).count("no such setting") == 3


async def test_a_process_that_is_not_ready_in_time_is_named(tmp_path: Path) -> None:
    async with kept_running(tmp_path / "log", SLEEP, ready_at=[NOBODY]) as process:
        with pytest.raises(StackError, match="Not ready in time: child"):
            await until_ready([process], deadline=time.monotonic() + 0.2)

        assert not known(process).ready


@pytest.mark.parametrize("script", [SLEEP, DEAF])
async def test_a_stopped_process_is_gone(tmp_path: Path, script: str) -> None:
    log = tmp_path / "log"
    async with kept_running(log, script) as process:
        await until(lambda: "up" in said(log))
        running = known(process)

        await process.stop()

        assert not is_alive(running.identity)


async def test_what_a_dead_process_left_behind_is_gone_before_it_starts_again(tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with kept_running(log, PARENT) as process:
        await until(lambda: said(log).count("\n") == 1)
        left_behind = identity_of(int(said(log)))

        os.kill(known(process).pid, signal.SIGKILL)

        await until(lambda: known(process).restarts == 1)
        await until(lambda: not is_alive(left_behind))
