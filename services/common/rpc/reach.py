"""Whether a channel reaches anyone. Calls wait a moment when the processes behind a name are replaced by others."""

import asyncio
import weakref
from contextlib import suppress
from typing import Final

import grpc

from services.common.rpc.durations import MOVE_SECONDS

CHECK_SECONDS: Final = 0.01

TRY_SECONDS_MAX = 5.0
_UNDECIDED = {grpc.ChannelConnectivity.IDLE, grpc.ChannelConnectivity.CONNECTING}


class Reach:
    """Knows whether calls of a channel find a process.

    When all processes that it knew are gone, calls wait until the name is looked up again and one of its new addresses
    answers, for MOVE_SECONDS at the most. After that they fail at once, until someone is reached again.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        # The channel holds this object: with a circle its connections would stay open after it was closed.
        self._channel = weakref.proxy(channel)
        self._looking: asyncio.Task[None] | None = None
        self._had_someone = False

    async def someone(self) -> bool:
        """Returns whether a process is reached, as soon as that is known."""
        if self._is_ready():
            self._had_someone = True
        elif self._had_someone:
            if self._looking is None:
                self._looking = asyncio.create_task(self._look())
            await asyncio.shield(self._looking)
        return self._had_someone

    async def _look(self) -> None:
        try:
            for _ in range(int(MOVE_SECONDS / CHECK_SECONDS)):
                if self._is_ready():
                    return
                await asyncio.sleep(CHECK_SECONDS)
            self._had_someone = False
        finally:
            self._looking = None

    def _is_ready(self) -> bool:
        return self._channel.get_state(try_to_connect=True) is grpc.ChannelConnectivity.READY


async def tried(channel: grpc.aio.Channel) -> None:
    """Returns once a process is reached, or known not to be, after TRY_SECONDS_MAX at the most.

    A process that is awaited so before it serves does not make its first customers wait for a handshake, or fail by it.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(TRY_SECONDS_MAX):
            while (state := channel.get_state(try_to_connect=True)) in _UNDECIDED:
                await channel.wait_for_state_change(state)
