"""A provider's HTTP server that a test can bend: scripted answers and faults come before those of the provider it imitates."""

import asyncio
import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, ClassVar, Self

from aiohttp import web


class Fault(Enum):
    RESET = auto()
    """The connection dies after the request was read."""
    STALL = auto()
    """Headers never come."""
    TRUNCATE = auto()
    """Half of the announced body comes, then the connection dies."""
    LOSE = auto()
    """The request takes effect as usual, then the connection dies instead of an answer."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    status: int = 200
    body: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: Fault | None = None
    chunked: bool = False
    """Whether the length is left unsaid."""
    slow: bool = False
    """Whether it comes a little at a time."""

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
    """By lower-case names."""
    body: bytes


class ProviderServer:
    """Answers each request with the next reply of the script; with none left, as the imitated provider would."""

    PATH: ClassVar[str] = ""
    """Where the API begins."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self._script: deque[Reply] = deque()
        self._released = asyncio.Event()
        self._runner = web.ServerRunner(web.Server(self._serve))
        self.origin = ""

    @property
    def base_url(self) -> str:
        return self.origin + self.PATH

    def will(self, *replies: Reply) -> None:
        self._script.extend(replies)

    def forget_script(self) -> None:
        self._script.clear()

    @property
    def task_ids(self) -> list[str]:
        """What was started here, in order."""
        raise NotImplementedError

    async def respond(self, request: web.BaseRequest, body: bytes) -> Reply:
        """Returns what the imitated provider says."""
        raise AssertionError(f"no answer to {request.method} {request.path_qs} was scripted")

    def run(self, task_id: str) -> None:
        """Lets a task leave the queue."""
        raise NotImplementedError

    def finish(self, task_id: str) -> None:
        """Lets a task succeed."""
        raise NotImplementedError

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

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        seen = Seen(
            method=request.method,
            target=request.path_qs,
            path=request.path,
            query=dict(request.query),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=await request.read(),
        )
        self.seen.append(seen)
        reply = self._script.popleft() if self._script else await self.respond(request, seen.body)
        if reply.fault is Fault.STALL:
            await self._released.wait()
        if reply.fault is Fault.LOSE:
            await self.respond(request, seen.body)
        if reply.fault in {Fault.RESET, Fault.LOSE}:
            _cut(request)
        if reply.fault is Fault.TRUNCATE:
            return await _half(request, reply)
        if reply.slow:
            return await _trickled(request, reply)
        response = web.Response(status=reply.status, body=reply.payload, headers=dict(reply.headers))
        if reply.chunked:
            response.enable_chunked_encoding()
        return response


async def _trickled(request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
    response = web.StreamResponse(status=reply.status, headers=dict(reply.headers))
    await response.prepare(request)
    for byte in reply.payload:
        await response.write(bytes([byte]))
        await asyncio.sleep(0)
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
