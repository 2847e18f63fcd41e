"""How `reelgate generate` behaves towards an edge that does not behave."""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from services.cli.customer import Customer, UnansweredError, open_customer
from services.cli.errors import CommandError

Reply = tuple[int, str]
PENDING: Reply = (200, '{"data": {"id": "vid_1", "status": "pending"}}')
COMPLETED: Reply = (200, '{"data": {"id": "vid_1", "status": "completed"}}')
BUSY: Reply = (503, '{"error": {"code": "internal_error", "message": "Busy.", "type": "api_error"}}')
UNKNOWN: Reply = (404, '{"error": {"code": "task_not_found", "message": "Nothing here.", "type": "x"}}')
GARBLED: Reply = (502, "<html>bad gateway</html>")


@asynccontextmanager
async def edge_that_answers(replies: Sequence[Reply]) -> AsyncIterator[tuple[Customer, str]]:
    """An edge that gives these answers in turn, then closes connections; `/file` breaks off in the middle."""
    left = list(replies)

    async def reply(request: web.Request) -> web.Response:
        if not left:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        status, body = left.pop(0)
        return web.Response(status=status, text=body)

    async def half_a_file(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.close()
        return response

    app = web.Application()
    app.add_routes([web.get("/file", half_a_file), web.route("*", "/{path:.*}", reply)])
    async with TestServer(app) as server:
        url = f"http://127.0.0.1:{server.port}/"
        async with open_customer(target=url, key="k") as customer:
            yield customer, url


async def test_waiting_survives_answers_that_are_none() -> None:
    seen: list[str] = []
    async with edge_that_answers([PENDING, BUSY, GARBLED, COMPLETED]) as (customer, _):
        task = await customer.wait("vid_1", show=seen.append)

    assert task["status"] == "completed"
    assert seen == ["pending", "completed"]


async def test_waiting_ends_at_a_refusal() -> None:
    async with edge_that_answers([UNKNOWN, COMPLETED]) as (customer, _):
        with pytest.raises(CommandError, match=r"Nothing here\."):
            await customer.wait("vid_1", show=lambda _: None)


@pytest.mark.parametrize("replies", [[], [GARBLED, COMPLETED], [BUSY, COMPLETED]])
async def test_a_create_is_sent_only_once(replies: list[Reply]) -> None:
    async with edge_that_answers(replies) as (customer, _):
        with pytest.raises(UnansweredError):
            await customer.create({"model": "mini"})


async def test_half_a_file_is_no_file(tmp_path: Path) -> None:
    async with edge_that_answers([]) as (customer, url):
        with pytest.raises(CommandError, match="Cannot save"):
            await customer.save(f"{url}file", tmp_path / "video.mp4")

    assert not any(os.scandir(tmp_path))
