"""A fork looks at files of one owner only, and nothing that one of them does to it is held against another."""

import asyncio
import json
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from services.media.errors import MediaRejectedError
from services.media.limits import MIB, MediaLimits
from services.media.probe_fork import FILES_MAX, KEPT_BYTES_MAX
from services.media.prober import Prober
from tests.integration.media import planted_decoder
from tests.integration.media.test_hostile_files import HARMS, make_bomb
from tests.patience import PATIENCE_SECONDS
from tests.unit.media.clips import make_clip

COMMAND = (sys.executable, "-I", planted_decoder.__file__)
LIMITS = replace(MediaLimits(), probe_cpu_seconds_max=3, probe_memory_max=512 * MIB)
HOARD = f"tell-hoard-{KEPT_BYTES_MAX // MIB + 16}"


class Planted:
    """A prober whose decoder obeys its files."""

    def __init__(self, prober: Prober, folder: Path) -> None:
        self._prober = prober
        self._folder = folder

    async def obey(self, order: str, owner: str | None = "a") -> Any:
        file = self._folder / order
        if not file.exists():
            file.write_text(order)
        probed = await self._prober.probe(file, want_last_frame=False, owner=owner)
        return json.loads(probed.poster_jpeg)["told"]

    async def who(self, owner: str | None = "a") -> str:
        fork: str = await self.obey("tell-who", owner)
        return fork

    async def rejection(self, order: str, owner: str | None = "a") -> str:
        with pytest.raises(MediaRejectedError) as caught:
            await self.obey(order, owner)
        return caught.value.detail


@pytest.fixture(params=[1])
async def planted(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Planted]:
    prober = Prober(limits=LIMITS, processes_max=request.param, command=COMMAND)
    async with prober.running():
        yield Planted(prober, tmp_path)


def descendants() -> list[psutil.Process]:
    """Returns the planted processes that live, forks among them."""
    return [each for each in psutil.Process().children(recursive=True) if _is_planted(each)]


def _is_planted(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return process.status() != psutil.STATUS_ZOMBIE and planted_decoder.__file__ in process.cmdline()
    return False


async def test_files_of_an_owner_share_a_fork_and_so_many_of_them_only(planted: Planted) -> None:
    forks = [await planted.who() for _ in range(2 * FILES_MAX + 1)]

    first, second, third = forks[0], forks[FILES_MAX], forks[-1]
    assert forks == [first] * FILES_MAX + [second] * FILES_MAX + [third]
    assert len({first, second, third}) == 3


@pytest.mark.parametrize("planted", [1, 2], indirect=True)
async def test_no_fork_ever_looks_at_files_of_two_owners(planted: Planted) -> None:
    owners = ("a", "a", "b", "a", None, "test/a", "a") * 17
    seen = defaultdict[str, list[str | None]](list)

    async def look(owner: str | None) -> None:
        seen[await planted.who(owner)].append(owner)

    for start in range(0, len(owners), 3):
        await asyncio.gather(*map(look, owners[start : start + 3]))

    assert all(len(set(of_fork)) == 1 for of_fork in seen.values())
    assert all(len(of_fork) == 1 for of_fork in seen.values() if of_fork[0] is None)
    assert max(map(len, seen.values())) > 1


async def test_an_owner_whose_files_come_again_gets_a_new_fork(planted: Planted) -> None:
    first = await planted.who("a")
    await planted.who("b")

    assert await planted.who("a") != first


@pytest.mark.parametrize(("order", "detail"), HARMS)
async def test_a_file_that_harms_its_decoder_is_rejected_between_good_ones(
    planted: Planted, order: str, detail: str
) -> None:
    before = await planted.who()

    assert await planted.rejection(order) == detail

    assert await planted.who() != before


async def test_a_file_that_takes_too_long_is_rejected_between_good_ones(tmp_path: Path) -> None:
    limits = replace(LIMITS, probe_timeout_seconds=2.0)
    prober = Prober(limits=limits, processes_max=1, command=COMMAND)
    async with prober.running():
        planted = Planted(prober, tmp_path)
        await planted.who()

        assert await planted.rejection("sleep") == "decoding takes too long"

        assert await planted.who()


@pytest.mark.parametrize("harm", ["crash", "reject", "memory", "spin"])
async def test_what_a_file_left_behind_rejects_no_other(planted: Planted, harm: str) -> None:
    await planted.obey(f"tell-poison-{harm}")

    assert await planted.who()


async def test_processor_time_is_counted_for_each_file(planted: Planted) -> None:
    share = LIMITS.shared().probe_cpu_seconds_max
    before = await planted.who()
    for _ in range(4):
        await planted.obey(f"tell-burn-{share * 0.4}")

    assert await planted.who() == before


async def test_no_descriptor_is_left_of_the_file_before(planted: Planted) -> None:
    fork = await planted.who()
    for _ in range(3):
        await planted.obey("tell-leak")

    # The file and its answer, besides stdout, stderr and the socket that the fork is asked over.
    assert sorted(await planted.obey("tell-files")) == ["-", "c", "c", "s", "s"]
    assert await planted.who() == fork


async def test_a_fork_that_was_taken_over_cannot_add_to_an_answer_that_it_has_given(planted: Planted) -> None:
    fork = await planted.who()
    await planted.obey("tell-keep")

    assert await planted.obey("tell-add") == "BrokenPipeError"
    assert await planted.who() == fork


async def test_there_are_no_children_of_a_fork_that_goes_on(planted: Planted) -> None:
    await planted.who()

    assert await planted.obey("tell-fork") == "BlockingIOError"


async def test_a_fork_that_keeps_much_memory_is_replaced(planted: Planted) -> None:
    before = await planted.who()
    await planted.obey(HOARD)

    assert await planted.who() != before


async def test_a_fork_of_a_single_file_ends_with_it_and_one_that_waits_in_vain_soon(planted: Planted) -> None:
    await asyncio.to_thread(_wait_until_left, 0)  # of tests before
    await planted.who(owner=None)
    probing = descendants()
    assert len(probing) == 1
    await planted.who()
    assert len(descendants()) == 2

    await asyncio.to_thread(_wait_until_left, 1)
    assert descendants() == probing


def _wait_until_left(count: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(descendants()) > count:
        assert time.monotonic() < deadline
        time.sleep(0.05)


async def test_a_fork_that_was_killed_while_it_waited_is_replaced(planted: Planted) -> None:
    await planted.who()
    [_, fork] = sorted(descendants(), key=lambda each: each.create_time())
    fork.kill()

    assert await planted.who()


async def test_none_is_left_when_the_prober_ends(tmp_path: Path) -> None:
    prober = Prober(limits=LIMITS, processes_max=1, command=COMMAND)
    async with prober.running():
        await Planted(prober, tmp_path).who()
        left = descendants()

    _, alive = await asyncio.to_thread(psutil.wait_procs, left, timeout=PATIENCE_SECONDS)
    assert (len(left), alive) == (2, [])


async def test_a_damaged_video_between_good_ones_of_its_owner(tmp_path: Path) -> None:
    clip, bomb = make_clip(tmp_path / "clip.mp4"), make_bomb(tmp_path / "bomb.mp4")
    prober = Prober(limits=MediaLimits(), processes_max=1)
    async with prober.running():
        alone = await prober.probe(clip, want_last_frame=True)
        for _ in range(2):
            assert await prober.probe(clip, want_last_frame=True, owner="a") == alone
            with pytest.raises(MediaRejectedError):
                await prober.probe(bomb, want_last_frame=True, owner="a")


def test_shares_of_a_file_are_no_more_than_it_may_have() -> None:
    for limits in (MediaLimits(), LIMITS):
        shared, rest = limits.shared(), limits.left_by_shared()

        for taken, left, most in (
            (shared.probe_cpu_seconds_max, rest.probe_cpu_seconds_max, limits.probe_cpu_seconds_max),
            (shared.probe_timeout_seconds, rest.probe_timeout_seconds, limits.probe_timeout_seconds),
        ):
            assert 0 < taken < left <= most - taken
        # By the clock a fork that was taken over has no more of the processor than its share.
        assert shared.probe_timeout_seconds <= shared.probe_cpu_seconds_max
