"""A server of the customer's on this machine: takes webhooks down as they come, and serves reference images."""

import asyncio
import io
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from PIL import Image

from services.common.clock import utc_now
from tests.conformance import check_webhook
from tests.standard_webhooks import verified

IMAGE_SIDE_PIXELS = 640


@dataclass(frozen=True)
class Received:
    """One webhook."""

    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes
    at: datetime
    """When it came. A receiver judges a signature then, and not when a test looks at it."""

    def verified(self, secret: str) -> Any:
        """Returns the body as JSON if its receiver accepted the signature of Standard Webhooks."""
        return verified(self.body, self.headers, secret=secret, at=self.at)


class Receiver:
    """What came in so far, by the last part of the address it was sent to. Each must be as its OpenAPI document shows it."""

    def __init__(self) -> None:
        self.webhooks: defaultdict[str, list[Received]] = defaultdict(list)
        self._url = ""
        self._faults: list[AssertionError] = []
        self._came = asyncio.Condition()

    def hook(self, name: str) -> str:
        """Returns a callback address."""
        return f"{self._url}/hooks/{name}"

    def image(self, color: str) -> str:
        """Returns the address of a square of one colour."""
        return f"{self._url}/images/{color}.png"

    async def first(self, name: str, *, seconds: float) -> Received:
        """Returns the first webhook to an address, waiting for it for `seconds` at the most."""
        return (await self.several(name, 1, seconds=seconds))[0]

    async def several(self, name: str, count: int, *, seconds: float) -> list[Received]:
        """Returns what came to an address, once that is so many, after `seconds` at the most."""
        try:
            async with asyncio.timeout(seconds), self._came:
                await self._came.wait_for(lambda: len(self.webhooks.get(name, ())) >= count)
        except TimeoutError:
            counts = {each: len(found) for each, found in self.webhooks.items()}
            raise AssertionError(f"not {count} webhooks for {name}; there are {counts}") from None
        self._raise_fault()
        return list(self.webhooks[name])

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Receiver"]:
        """Listens on a free port of loopback until the block ends."""
        app = web.Application()
        app.add_routes([web.post("/hooks/{name}", self._take), web.get("/images/{color}.png", _draw)])
        async with TestServer(app) as server:
            self._url = f"http://127.0.0.1:{server.port}"
            yield self
        self._raise_fault()

    def _raise_fault(self) -> None:
        for fault in self._faults:
            raise fault

    async def _take(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        received = Received(headers, await request.read(), utc_now())
        try:
            check_webhook(received.headers, received.body)
        except AssertionError as fault:
            self._faults.append(fault)
        async with self._came:
            self.webhooks[request.match_info["name"]].append(received)
            self._came.notify_all()
        return web.Response(status=204)


async def _draw(request: web.Request) -> web.Response:
    file = io.BytesIO()
    Image.new("RGB", (IMAGE_SIDE_PIXELS, IMAGE_SIDE_PIXELS), request.match_info["color"]).save(file, "PNG")
    return web.Response(body=file.getvalue(), content_type="image/png")
