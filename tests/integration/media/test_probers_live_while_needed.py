"""Processes that look at files are there while files come, and at no other time."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from services.media.errors import MediaRejectedError
from services.media.limits import MediaLimits
from services.media.prober import Prober
from tests.integration.media import planted_decoder

COMMAND = (sys.executable, "-I", planted_decoder.__file__)


@pytest.fixture
async def prober() -> AsyncIterator[Prober]:
    opened = Prober(limits=MediaLimits(), processes_max=2, command=COMMAND)
    async with opened.running():
        yield opened


def processes() -> list[int]:
    return [each.pid for each in psutil.Process().children() if planted_decoder.__file__ in each.cmdline()]


async def look(prober: Prober, folder: Path) -> None:
    file = folder / "raise"
    file.write_text("raise")
    with pytest.raises(MediaRejectedError):
        await prober.probe(file, want_last_frame=False)


async def test_there_is_none_before_the_first_file(prober: Prober, tmp_path: Path) -> None:
    assert processes() == []

    await look(prober, tmp_path)

    assert len(processes()) == 1


async def test_one_that_is_needed_again_and_again_stays(prober: Prober, tmp_path: Path) -> None:
    await look(prober, tmp_path)
    [process] = processes()

    for _ in range(3):
        await prober.end_unused()
        await look(prober, tmp_path)

    assert processes() == [process]


async def test_one_that_nothing_needed_is_ended_and_another_started_when_a_file_comes(
    prober: Prober, tmp_path: Path
) -> None:
    await look(prober, tmp_path)
    [process] = processes()

    await prober.end_unused()
    await prober.end_unused()
    assert processes() == []
    await look(prober, tmp_path)

    assert processes() not in ([], [process])


async def test_none_is_left_behind_the_block(tmp_path: Path) -> None:
    prober = Prober(limits=MediaLimits(), processes_max=1, command=COMMAND)
    async with prober.running():
        await look(prober, tmp_path)

    assert processes() == []
