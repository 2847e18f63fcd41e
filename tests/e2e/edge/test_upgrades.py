"""Clients offer other protocols unasked (Apache HttpClient 5.4: TLS/1.2 with every request): the offer is ignored."""

import itertools
from pathlib import Path

import pytest

from services.edge.render import render
from services.edge.settings import EdgeSettings
from tests.e2e.edge.client import send
from tests.e2e.edge.upstream import Upstream
from tests.e2e.edge_process import RunningEdge

pytestmark = pytest.mark.asyncio(loop_scope="session")

VIDEOS = "/v1/videos/generations"
CREATION = '{"model":"mini","input":{"prompt":"waves"}}'
CHUNKED = f"{len(CREATION):x}\r\n{CREATION}\r\n0\r\n\r\n"
TOKENS = (
    "TLS/1.2",
    "TLS/1.2, TLS/1.3",
    "h2c",
    "h2c,websocket",
    "websocket",
    "WebSocket",
    "HTTP/3.0, foo/1 , bar",
    "connect-udp",
    "",
)
CONNECTIONS = ("Upgrade", "upgrade, close", "close, UPGRADE", "Upgrade, HTTP2-Settings")
REQUESTS = {
    "GET": ("GET", f"{VIDEOS}/vid_1", "", []),
    "GET of a probe": ("GET", "/healthz", "", []),
    "HEAD of a probe": ("HEAD", "/readyz", "", []),
    "POST": ("POST", VIDEOS, CREATION, []),
    "POST in chunks": ("POST", VIDEOS, CHUNKED, ["transfer-encoding: chunked"]),
    "POST without a body": ("POST", f"{VIDEOS}/vid_1/cancel", "", ["content-length: 0"]),
    "callback": ("POST", "/callbacks/tok_1", "any", []),
}


@pytest.mark.parametrize(("name", "token"), list(itertools.product(REQUESTS, TOKENS)))
async def test_an_offer_to_change_the_protocol_is_ignored(
    edge: RunningEdge, upstream: Upstream, name: str, token: str
) -> None:
    method, path, body, headers = REQUESTS[name]
    expected = await send(edge, method, path, body, headers)
    expected_calls = [(call.method, call.request) for call in upstream.calls]
    for connection in CONNECTIONS:
        upstream.forget()
        offer = [f"connection: {connection}", f"upgrade: {token}", "http2-settings: AAMAAABkAAQCAAAA"]

        answer = await send(edge, method, path, body, [*headers, *offer])

        assert (answer.status, answer.body) == (200, expected.body)
        assert [(call.method, call.request) for call in upstream.calls] == expected_calls
        assert "upgrade" not in answer.headers


async def test_two_lines_of_offers_are_ignored_too(edge: RunningEdge, upstream: Upstream) -> None:
    offers = ["connection: Upgrade", "upgrade: TLS/1.2", "upgrade: websocket"]

    answer = await send(edge, "POST", VIDEOS, CREATION, offers)

    assert answer.status == 200
    assert [call.request.model for call in upstream.calls] == ["mini"]


async def test_every_listener_of_http_1_ignores_them() -> None:
    certificate, key = Path("/a/crt"), Path("/a/key")
    settings = EdgeSettings(grpc_address="127.0.0.1:1", tls_certificate_file=certificate, tls_key_file=key)
    managers = [
        chain["filters"][-1]["typed_config"]
        for listener in render(settings)["static_resources"]["listeners"]
        for chain in listener["filter_chains"]
    ]

    speaking_http_1 = [manager for manager in managers if manager.get("codec_type") != "HTTP2"]

    assert speaking_http_1
    for manager in speaking_http_1:
        ignored = manager["http_protocol_options"]["ignore_http_11_upgrade"]
        assert ignored == [{"safe_regex": {"regex": ".*"}}]
