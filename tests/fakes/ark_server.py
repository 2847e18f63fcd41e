"""A ModelArk that says exactly what a test tells it to, one answer per request, and remembers what it was asked."""

import asyncio
import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Self

from aiohttp import web


class Fault(Enum):
    RESET = auto()
    """The connection dies after the request was read."""
    STALL = auto()
    """Headers never come."""
    TRUNCATE = auto()
    """Half of the announced body comes, then the connection dies."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    status: int = 200
    body: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: Fault | None = None
    chunked: bool = False
    """Whether the length is left unsaid."""

    @property
    def payload(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass(frozen=True, kw_only=True)
class Seen:
    method: str
    target: str
    """Path and query as they were sent."""
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


class ArkServer:
    """Serves `/api/v3` and result files alike: the next reply of the script, whatever is asked."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self._script: deque[Reply] = deque()
        self._released = asyncio.Event()
        self._runner = web.ServerRunner(web.Server(self._answer))
        self.origin = ""

    @property
    def base_url(self) -> str:
        return f"{self.origin}/api/v3"

    def will(self, *replies: Reply) -> None:
        self._script.extend(replies)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.origin = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        self._released.set()
        await self._runner.cleanup()

    def scripted(self) -> bool:
        """Returns whether the next answer was given by `will`."""
        return bool(self._script)

    async def respond(self, request: web.BaseRequest, body: bytes) -> Reply:
        """Returns the answer to a request: the next of the script. Servers that know their provider's rules override it."""
        return self._script.popleft()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        seen = Seen(
            method=request.method,
            target=request.path_qs,
            path=request.path,
            query=dict(request.query),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=await request.read(),
        )
        self.seen.append(seen)
        reply = await self.respond(request, seen.body)
        if reply.fault is Fault.STALL:
            await self._released.wait()
        if reply.fault is Fault.RESET:
            _cut(request)
        if reply.fault is Fault.TRUNCATE:
            return await _half(request, reply)
        response = web.Response(status=reply.status, body=reply.payload, headers=dict(reply.headers))
        if reply.chunked:
            response.enable_chunked_encoding()
        return response


async def _half(request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
    response = web.StreamResponse(status=reply.status, headers=dict(reply.headers))
    response.content_length = len(reply.payload)
    await response.prepare(request)
    await response.write(reply.payload[: len(reply.payload) // 2])
    assert request.transport is not None
    request.transport.close()
    return response


def _cut(request: web.BaseRequest) -> None:
    assert request.transport is not None
    request.transport.abort()
