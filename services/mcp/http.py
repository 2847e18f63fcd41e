"""The server over HTTP: who brings no key of ours is told so before anything is read."""

import asyncio
import socket
from collections import Counter
from types import FrameType
from typing import Final

import uvicorn
from mcp.server.transport_security import TransportSecuritySettings
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typing_extensions import override

from services.common.auth.key_forms import contract_of
from services.common.errors import Reason, ServiceError
from services.common.rpc.both_ends import request_id
from services.mcp.calls import Calls, Refused
from services.mcp.server import Context, build_server
from services.mcp.settings import STOP_SECONDS_MAX

PATH: Final = "/mcp"
BODY_BYTES_MAX: Final = 160 * 1024
"""A prompt of 10,000 characters, however it is written, and all addresses that a video can have."""
REQUESTS_MAX: Final = 1_000
REQUESTS_OF_KEY_MAX: Final = 40
"""Requests of one key under way at once, so that one that waits for everything leaves others their room."""
KEEP_ALIVE_SECONDS: Final = 75
"""Longer than the edge keeps a connection that it does not use."""
_REFUSED: Final = "reelgate.refused"


def build_app(calls: Calls) -> "Entrance":
    """Returns the application: MCP in both eras at PATH, in JSON, and probes."""
    server = build_server(calls, key_of=lambda context: _key(_scope(context)), told=_tell)
    app = server.streamable_http_app(
        streamable_http_path=PATH,
        json_response=True,
        stateless_http=True,
        max_request_body_size=BODY_BYTES_MAX,
        # It guards servers that need no key against pages of other sites. This one needs a key, under any name.
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    return Entrance(app)


async def serve(app: "Entrance", taken: socket.socket, *, notice_seconds: float) -> None:
    """Serves on a listening socket until SIGTERM or SIGINT, and lets running requests finish.

    For `notice_seconds` before that it reports to be not ready, and goes on serving.
    """
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=REQUESTS_MAX,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS_MAX,
    )
    await _Server(config, app, notice_seconds).serve(sockets=[taken])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, app: "Entrance", notice_seconds: float) -> None:
        super().__init__(config)
        self._app = app
        self._notice_seconds = notice_seconds
        self._loop = asyncio.get_running_loop()

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stops after the notice; a second signal stops at once."""
        seconds = 0.0 if self._app.leaves else self._notice_seconds
        self._app.leaves = True
        leave = super().handle_exit
        self._loop.call_soon_threadsafe(self._loop.call_later, seconds, leave, sig, frame)


class Entrance:
    """Answers probes, and 401 where the key is missing, is no key of ours, or turned out not to work."""

    def __init__(self, inside: ASGIApp) -> None:
        self._inside = inside
        self.leaves = False
        """Whether it is about to stop."""
        self._running: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._inside(scope, receive, send)
        elif scope["path"] == "/healthz":
            await _answer(send, 200, b"ok\n", ("content-type", "text/plain"))
        elif scope["path"] == "/readyz":
            await _answer(send, 503 if self.leaves else 200, b"", ("content-type", "text/plain"))
        elif not contract_of(_key(scope)):
            await _answer_401(send, _key(scope))
        elif scope["method"] != "POST":
            await _answer(send, 405, b"MCP is spoken in POST here.\n", ("allow", "POST"))
        else:
            request_id.set(_header(scope, "x-request-id"))
            await self._bounded(scope, receive, send)

    async def _bounded(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = _key(scope)
        if self._running[key] >= REQUESTS_OF_KEY_MAX:
            await _answer_429(send, key)
            return
        self._running[key] += 1
        try:
            await self._pass(scope, receive, send)
        finally:
            self._running[key] -= 1
            if not self._running[key]:
                del self._running[key]

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused: list[Refused] = []
        scope[_REFUSED] = refused

        async def send_unless_refused(message: Message) -> None:
            if not refused:
                await send(message)
            elif message["type"] == "http.response.start":
                await _answer_401(send, _key(scope))

        await self._inside(scope, receive, send_unless_refused)


def _tell(context: Context, refused: Refused) -> None:
    _scope(context)[_REFUSED].append(refused)


def _scope(context: Context) -> Scope:
    assert context.request is not None, "over HTTP every message came in a request"
    scope: Scope = context.request.scope
    return scope


def _header(scope: Scope, name: str) -> str:
    return next((value.decode("latin-1") for found, value in scope["headers"] if found == name.encode()), "")


def _key(scope: Scope) -> str:
    """Returns the key as services read it: `Authorization` wins."""
    kind, _, key = _header(scope, "authorization").partition(" ")
    if kind:
        return key.strip() if kind.lower() == "bearer" else ""
    return _header(scope, "x-api-key").strip()


async def _answer_401(send: Send, key: str) -> None:
    refusal = ServiceError(
        Reason.KEY_INVALID,
        "API key is missing, invalid, or disabled. Send `Authorization: Bearer YOUR_KEY` with every request.",
    )
    await _refuse(send, refusal, key, ("www-authenticate", 'Bearer realm="reelgate"'))


async def _answer_429(send: Send, key: str) -> None:
    refusal = ServiceError(
        Reason.RATE_LIMITED,
        f"{REQUESTS_OF_KEY_MAX} requests of this key are under way. Wait for one of them to end.",
    )
    await _refuse(send, refusal, key, ("retry-after", "1"))


async def _refuse(send: Send, refusal: ServiceError, key: str, header: tuple[str, str]) -> None:
    body = refusal.envelope(contract_of(key) or "seedancee2")
    await _answer(send, refusal.status.http, body, ("content-type", "application/json"), header)


async def _answer(send: Send, status: int, body: bytes, *headers: tuple[str, str]) -> None:
    sized = (*headers, ("content-length", str(len(body))))
    encoded = [(name.encode(), value.encode()) for name, value in sized]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
