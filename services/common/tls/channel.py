"""A channel that keeps working when its certificate is renewed.

gRPC reads a client's files once, when a channel is made. So a new channel is made when they change; calls go there
from then on, and the one before is closed when its calls have ended.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import grpc

from services.common.loop import end, repeat
from services.common.tls.files import TlsFiles, TlsFolder

log = logging.getLogger(__name__)

CHECK_SECONDS = 10.0
CALLS_END_SECONDS = 60.0
"""How long calls on a replaced channel may continue."""
MakeChannel = Callable[[TlsFiles], grpc.aio.Channel]


class RenewedChannel:
    """What stubs need of a channel: each call goes to the newest one."""

    def __init__(self, make: MakeChannel, folder: TlsFolder) -> None:
        self._make = make
        self._folder = folder
        self._files = folder.read()
        self._channel = make(self._files)
        self._methods: dict[str, Any] = {}

    def unary_unary(self, method: str, *coders: Any, **options: Any) -> Callable[..., Any]:
        """Returns what calls a method."""
        return self._newest("unary_unary", method, *coders, **options)

    def unary_stream(self, method: str, *coders: Any, **options: Any) -> Callable[..., Any]:
        """Returns what calls a method that answers with a stream."""
        return self._newest("unary_stream", method, *coders, **options)

    def _newest(self, kind: str, method: str, *coders: Any, **options: Any) -> Callable[..., Any]:
        def call(*arguments: Any, **details: Any) -> Any:
            current = self._methods.get(method)
            if current is None:
                current = self._methods[method] = getattr(self._channel, kind)(method, *coders, **options)
            return current(*arguments, **details)

        return call

    async def channel_ready(self) -> None:
        """Returns once the other side has been reached."""
        await self._channel.channel_ready()

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Returns how far the newest channel is connected."""
        return self._channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Returns once that has changed."""
        await self._channel.wait_for_state_change(last_observed_state)

    async def renew(self) -> int:
        """Switches to a new channel if the files have changed, and closes the old one. Returns how many changed."""
        files = self._folder.read()
        if files == self._files:
            return 0
        before, self._channel = self._channel, self._make(files)
        self._files, self._methods = files, {}
        log.info("calls go on with a renewed certificate")
        try:
            await before.close(CALLS_END_SECONDS)
        finally:
            await before.close(None)
        return 1

    async def close(self) -> None:
        """Ends it, and the calls that still run."""
        await self._channel.close(None)


@asynccontextmanager
async def renewed_channel(make: MakeChannel, folder: TlsFolder) -> AsyncIterator[grpc.aio.Channel]:
    """Opens a channel and looks after its certificate until the block ends. Raises TlsError."""
    channel = RenewedChannel(make, folder)
    renewing = asyncio.create_task(repeat(channel.renew, name="certificate", idle_seconds=CHECK_SECONDS))
    try:
        yield cast("grpc.aio.Channel", channel)
    finally:
        await end(renewing)
        await channel.close()
