"""What a hostile file may do: to its own process as much as it is given, and nothing to anybody else."""

import asyncio
import json
import os
import struct
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from services.media.errors import MediaRejectedError, MediaUnavailableError
from services.media.limits import MIB, MediaLimits
from services.media.probe_fork import OPEN_FILES_MAX
from services.media.probe_process import USER_ID
from services.media.prober import ENVIRONMENT, Prober
from tests.integration.media import planted_decoder
from tests.patience import PATIENCE_SECONDS
from tests.unit.media.clips import make_clip

LIMITS = MediaLimits()
PLANTED = (sys.executable, "-I", planted_decoder.__file__)
SAMPLES_ANNOUNCED = 40_000_000
HARMS = (
    ("spin", "undecodable: the decoder ended with -9"),
    ("allocate", "decoding takes too much memory"),
    ("crash", "undecodable: the decoder ended with -11"),
    ("raise", "undecodable: the decoder ended with 1"),
    ("garble", "undecodable: the decoder gave no answer"),
    ("flood", "undecodable: the decoder's answer is too long"),
)
"""What a file may do to its decoder at once, and why it is rejected then."""


@pytest.fixture
async def prober() -> AsyncIterator[Prober]:
    opened = Prober(limits=LIMITS, processes_max=1)
    async with opened.running():
        yield opened


class Planted:
    """A prober whose decoder obeys its files."""

    def __init__(self, prober: Prober, folder: Path) -> None:
        self._prober = prober
        self._folder = folder

    async def rejection(self, order: str) -> str:
        file = self._folder / order
        file.write_text(order)
        with pytest.raises(MediaRejectedError) as caught:
            await self._prober.probe(file, want_last_frame=False)
        return caught.value.detail

    async def told(self, order: str) -> Any:
        return json.loads(await self.rejection(order))["told"]


@pytest.fixture
async def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Planted]:
    monkeypatch.setenv("PLANTED_SECRET", "seen")
    limits = replace(LIMITS, probe_timeout_seconds=20.0, probe_cpu_seconds_max=1, probe_memory_max=512 * MIB)
    prober = Prober(limits=limits, processes_max=1, command=PLANTED)
    async with prober.running():
        yield Planted(prober, tmp_path)


def make_bomb(path: Path) -> Path:
    """Makes a tiny video whose index says that it has tens of millions of samples of a byte."""
    content = make_clip(path, frame_count=3).read_bytes()
    for box, claim in (
        (b"stsz", struct.pack(">III", 0, 1, SAMPLES_ANNOUNCED)),
        (b"stts", struct.pack(">IIII", 0, 1, SAMPLES_ANNOUNCED, 1)),
        (b"stsc", struct.pack(">IIIII", 0, 1, 1, SAMPLES_ANNOUNCED, 1)),
    ):
        start = content.index(box) + len(box)
        content = content[:start] + claim + content[start + len(claim) :]
    path.write_bytes(content)
    return path


def resident_bytes() -> int:
    return int(psutil.Process().memory_info().rss)


async def test_a_tiny_file_that_announces_millions_of_samples_costs_the_worker_nothing(
    prober: Prober, tmp_path: Path
) -> None:
    bomb = make_bomb(tmp_path / "bomb.mp4")
    before = resident_bytes()

    with pytest.raises(MediaRejectedError):
        await prober.probe(bomb, want_last_frame=True)

    assert resident_bytes() - before < 32 * MIB


async def test_a_good_file_is_looked_at_after_a_bad_one(prober: Prober, tmp_path: Path) -> None:
    bomb, clip = make_bomb(tmp_path / "bomb.mp4"), make_clip(tmp_path / "clip.mp4")
    with pytest.raises(MediaRejectedError):
        await prober.probe(bomb, want_last_frame=True)

    assert (await prober.probe(clip, want_last_frame=True)).width == 160


@pytest.mark.parametrize(("order", "detail"), [("sleep", "decoding takes too long"), *HARMS])
async def test_a_file_that_harms_its_decoder_is_rejected(planted: Planted, order: str, detail: str) -> None:
    assert await planted.rejection(order) == detail
    assert await planted.told("environment") is not None


async def test_there_is_nothing_to_be_found_in_the_process(planted: Planted) -> None:
    environment = await planted.told("environment")

    assert set(environment) <= {"LC_CTYPE", *ENVIRONMENT}  # the first is set by Python itself
    assert set(ENVIRONMENT) == {"GLIBC_TUNABLES"}
    assert await planted.told("limits") == [OPEN_FILES_MAX, 0]
    assert await planted.told("write") == "OSError"


async def test_the_process_holds_the_file_and_the_socket_of_the_answer_only(planted: Planted) -> None:
    kinds = await planted.told("files")

    # Besides stdout and stderr, which are /dev/null, and the socket that it is asked over.
    assert sorted(kinds) == ["-", "c", "c", "s", "s"]


async def test_the_process_has_no_children(planted: Planted) -> None:
    assert await planted.told("fork") == "BlockingIOError"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_root_becomes_somebody_who_may_nothing(planted: Planted) -> None:
    assert await planted.told("user") == [USER_ID, USER_ID, []]
    assert await planted.told("parents") == [False, False]


async def test_a_process_that_cannot_be_started_is_no_fault_of_the_file(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4")
    for command in (["/nonexistent"], [sys.executable, "-I", "-c", "raise SystemExit(3)"]):
        prober = Prober(limits=LIMITS, processes_max=1, command=command)
        async with prober.running():
            with pytest.raises(MediaUnavailableError, match="did not start"):
                await prober.probe(clip, want_last_frame=False)


async def test_a_process_that_was_killed_is_no_fault_of_the_file_and_is_replaced(
    prober: Prober, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "clip.mp4")
    await prober.probe(clip, want_last_frame=False)
    [process] = prober._idle
    process._process.kill()
    process._process.wait()

    with pytest.raises(MediaUnavailableError):
        await prober.probe(clip, want_last_frame=False)

    assert (await prober.probe(clip, want_last_frame=False)).width == 160


async def test_nothing_is_left_running(tmp_path: Path) -> None:
    (tmp_path / "sleep").write_text("sleep")
    prober = Prober(limits=LIMITS, processes_max=1, command=PLANTED)
    async with prober.running():
        asking = asyncio.create_task(prober.probe(tmp_path / "sleep", want_last_frame=False))
        async with asyncio.timeout(PATIENCE_SECONDS):
            left = await asyncio.to_thread(_fork_and_its_parent)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    for process in left:
        process.wait(timeout=PATIENCE_SECONDS)
    assert not any(map(psutil.Process.is_running, left))


def _fork_and_its_parent() -> list[psutil.Process]:
    while True:
        found = [
            process
            for process in psutil.Process().children(recursive=True)
            if planted_decoder.__file__ in process.cmdline()
        ]
        if len(found) == 2:
            return found
        time.sleep(0.02)
