"""The simulator as a process of its own, stopped and killed."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import ClientSession

from services.simulator.server import serve_simulator
from services.simulator.settings import Mode
from tests.integration.simulator.wire import API_KEY, Caller, settings
from tests.patience import PATIENCE_SECONDS


@asynccontextmanager
async def started(
    folder: Path, session: ClientSession
) -> AsyncIterator[tuple[asyncio.subprocess.Process, Caller]]:
    environment = os.environ | {"SIMULATOR_API_KEY": API_KEY, "SIMULATOR_FOLDER": str(folder)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.simulator", env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    try:
        line = await asyncio.wait_for(process.stdout.readline(), PATIENCE_SECONDS)
        yield process, Caller(session, line.decode().split()[-1])
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_killed_simulator_finishes_every_task_after_a_restart(
    session: ClientSession, tmp_path: Path
) -> None:
    async with started(tmp_path, session) as (process, caller):
        done = await caller.succeeded("A cat", seed=1)
        video = await caller.video_of(done)
        ids = [await caller.create(f"A cat {number}") for number in range(3)]
        await caller.seen(ids[0], "running")
        process.send_signal(signal.SIGKILL)
        await process.wait()

    async with started(tmp_path, session) as (process, caller):
        tasks = [await caller.seen(task_id, "succeeded", "failed") for task_id in ids]
        listed = await caller.list()
        video_again = await caller.video_of((await caller.get(done["id"])).json)

    assert [task["status"] for task in tasks] == ["succeeded"] * 3
    assert [task["id"] for task in listed["items"]] == [*reversed(ids), done["id"]]
    assert video_again == video


async def test_a_stopped_simulator_is_gone_and_keeps_its_tasks(
    session: ClientSession, tmp_path: Path
) -> None:
    async with started(tmp_path, session) as (process, caller):
        rendering = await caller.create("A cat", resolution="720p", duration=15)
        await caller.seen(rendering, "running")
        process.terminate()
        status = await process.wait()

    assert status == 0
    async with serve_simulator(settings(folder=tmp_path, mode=Mode.RENDER)) as running:
        assert (await Caller(session, running.url).get(rendering)).json["status"] in {"queued", "running"}
