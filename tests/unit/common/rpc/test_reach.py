import asyncio
from typing import Any, cast

import grpc
import pytest

from services.common.rpc.durations import MOVE_SECONDS
from services.common.rpc.reach import Reach
from tests.unit.common.virtual_time import run_virtually

READY, IDLE = grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.IDLE
LOST = grpc.ChannelConnectivity.TRANSIENT_FAILURE


class Channel:
    """In the state that the test says."""

    def __init__(self, state: grpc.ChannelConnectivity) -> None:
        self.state = state

    def get_state(self, *, try_to_connect: bool) -> grpc.ChannelConnectivity:
        assert try_to_connect
        return self.state


class Callers:
    """Ask for someone, and note how long each had to wait for the answer."""

    def __init__(self, state: grpc.ChannelConnectivity) -> None:
        self.channel = Channel(state)
        self._reach = Reach(cast("Any", self.channel))

    async def ask(self) -> tuple[bool, float]:
        time = asyncio.get_running_loop().time
        started = time()
        return await self._reach.someone(), time() - started

    async def become(self, state: grpc.ChannelConnectivity, *, after: float) -> None:
        await asyncio.sleep(after)
        self.channel.state = state


@pytest.mark.parametrize("state", [IDLE, LOST])
def test_who_never_reached_anyone_does_not_wait(state: grpc.ChannelConnectivity) -> None:
    assert run_virtually(Callers(state).ask()) == (False, 0)


def test_who_reaches_someone_does_not_wait() -> None:
    assert run_virtually(Callers(READY).ask()) == (True, 0)


def test_calls_wait_until_somebody_new_is_reached() -> None:
    callers = Callers(READY)

    async def move() -> list[tuple[bool, float]]:
        await callers.ask()
        callers.channel.state = LOST
        first, second, _ = await asyncio.gather(
            callers.ask(), callers.ask(), callers.become(READY, after=MOVE_SECONDS / 2)
        )
        return [first, second]

    asked = run_virtually(move())

    assert [found for found, _ in asked] == [True, True]
    assert [waited for _, waited in asked] == pytest.approx([MOVE_SECONDS / 2] * 2, abs=0.02)


def test_an_outage_keeps_calls_waiting_once() -> None:
    callers = Callers(READY)

    async def fall_silent() -> list[tuple[bool, float]]:
        await callers.ask()
        callers.channel.state = LOST
        return [*await asyncio.gather(callers.ask(), callers.ask()), await callers.ask()]

    asked = run_virtually(fall_silent())

    assert [found for found, _ in asked] == [False] * 3
    assert [waited for _, waited in asked] == pytest.approx([MOVE_SECONDS, MOVE_SECONDS, 0])


def test_after_an_outage_calls_wait_again() -> None:
    callers = Callers(READY)

    async def come_back() -> tuple[bool, float]:
        for state in (READY, LOST, READY):
            callers.channel.state = state
            await callers.ask()
        callers.channel.state = LOST
        return await callers.ask()

    found, waited = run_virtually(come_back())

    assert not found
    assert waited == pytest.approx(MOVE_SECONDS)
