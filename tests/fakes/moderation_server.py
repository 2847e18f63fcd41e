"""An endpoint that speaks like OpenAI's `POST /v1/moderations`, says what a test tells it to and remembers what it was asked."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

CLEAN = {"id": "modr-1", "model": "m", "results": [{"flagged": False, "categories": {"violence": False}}]}


def flagged(**categories: bool) -> dict[str, Any]:
    """Returns an answer that flags."""
    return {"id": "modr-1", "model": "m", "results": [{"flagged": True, "categories": categories}]}


@dataclass
class ModerationServer:
    """What was asked, and what is answered."""

    url: str = ""
    answer: Any = field(default_factory=lambda: CLEAN)
    """JSON, or the bytes themselves. None: never any."""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        self.authorizations.append(request.headers.get("Authorization"))
        if self.answer is None:
            await asyncio.Event().wait()
        body = self.answer if isinstance(self.answer, bytes) else json.dumps(self.answer).encode()
        return web.Response(
            status=self.status, body=body, headers=self.headers, content_type="application/json"
        )


@asynccontextmanager
async def moderation_server() -> AsyncIterator[ModerationServer]:
    """Serves on a free port."""
    server = ModerationServer()
    app = web.Application()
    app.router.add_post("/v1/moderations", server.take)
    async with TestServer(app) as running:
        server.url = str(running.make_url("/v1/moderations"))
        yield server
