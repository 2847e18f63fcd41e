"""What a provider signed arrives behind the edge as it was signed."""

import time

import aiohttp
import pytest

from services.upstream.provider import Provider
from services.upstream.providers.fal.adapter import FalProvider
from services.upstream.providers.replicate.adapter import ReplicateProvider
from services.upstream.registry import CALLBACK_HEADERS
from tests.e2e.edge.client import send
from tests.e2e.edge.upstream import Upstream
from tests.e2e.edge_process import RunningEdge
from tests.fakes import replicate_server
from tests.fakes.fal_server import APP, FalServer
from tests.fakes.replicate_server import ReplicateServer

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def assert_believed(
    edge: RunningEdge, upstream: Upstream, provider: Provider, headers: dict[str, str], body: bytes
) -> None:
    """Sends a callback through the edge, with header names as some clients write them, and has the provider judge it."""
    lines = [f"{name.title()}: {value}" for name, value in headers.items()]
    answer = await send(edge, "POST", "/callbacks/tok_1", body, [*lines, "content-type: application/json"])

    assert answer.status == 200
    call = upstream.calls[-1]
    received = {name: call.metadata[name] for name in CALLBACK_HEADERS & call.metadata.keys()}
    assert received == headers
    hint = await provider.read_callback(received, call.request.body.data, model=APP)
    assert hint is not None
    assert hint.is_authentic


async def test_a_callback_of_fal_is_as_authentic_behind_the_edge(
    edge: RunningEdge, upstream: Upstream
) -> None:
    async with FalServer() as server, aiohttp.ClientSession() as session:
        provider = FalProvider(
            session=session, base_url=server.base_url, api_key="k", keys_url=server.keys_url
        )
        request = server.accept(f"{APP}/text-to-video", {}, webhook=None)

        await assert_believed(edge, upstream, provider, *server.callback(request, at=time.time()))


async def test_a_callback_of_replicate_is_as_authentic_behind_the_edge(
    edge: RunningEdge, upstream: Upstream
) -> None:
    async with ReplicateServer() as server, aiohttp.ClientSession() as session:
        provider = ReplicateProvider(
            session=session, base_url=server.base_url, api_key=replicate_server.API_KEY
        )
        prediction = server.accept("bytedance/seedance-2.0", {"prompt": "é\r\n \x00"}, webhook=None)

        await assert_believed(edge, upstream, provider, *server.callback(prediction, at=time.time()))
