"""A customer's server that remembers what it was sent and misbehaves where it is told to."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiohttp import web

from services.common.clock import utc_now
from tests.patience import PATIENCE_SECONDS

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, kw_only=True)
class Received:
    path: str
    headers: dict[str, str]
    body: bytes
    at: float
    """By the clock that only goes on."""
    came_at: datetime

    @property
    def event_id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    url: str
    received: list[Received] = field(default_factory=list)
    answers: dict[str, Answering] = field(default_factory=dict)
    """How to answer, by path; 200 where nothing is said."""
    released: asyncio.Event = field(default_factory=asyncio.Event)
    """Set it to let `held` answers go."""

    @property
    def event_ids(self) -> list[str]:
        return [each.event_id for each in self.received]

    async def arrival(self, count: int, *, seconds: float = PATIENCE_SECONDS) -> None:
        await until(lambda: len(self.received) >= count, seconds=seconds)

    def answer_with(self, path: str, *statuses: int) -> None:
        """Answers requests to a path with these statuses in turn, the last one for ever."""
        left = list(statuses)

        async def answer(_request: web.Request) -> web.Response:
            return web.Response(status=left.pop(0) if len(left) > 1 else left[0], text="said " * 1_000)

        self.answers[path] = answer

    def hold(self, path: str) -> None:
        """Answers requests to a path only after `released`."""

        async def answer(_request: web.Request) -> web.Response:
            await self.released.wait()
            return web.Response()

        self.answers[path] = answer

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.received.append(
            Received(
                path=request.path,
                headers=dict(request.headers),
                body=body,
                at=time.monotonic(),
                came_at=utc_now(),
            )
        )
        answer = self.answers.get(request.path)
        return web.Response(text="ok") if answer is None else await answer(request)


@asynccontextmanager
async def open_receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver(url="")
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", receiver._receive)
    runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield receiver
    finally:
        receiver.released.set()
        await runner.cleanup()


async def until(holds: Callable[[], bool], *, seconds: float = PATIENCE_SECONDS) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110  what is waited for has no event
            await asyncio.sleep(0.005)
