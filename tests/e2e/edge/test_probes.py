"""Probes of balancers, however old, are answered; HTTP/1.0 is understood for nothing else, and refused whole."""

import itertools

import pytest

from services.edge.descriptor import Endpoint, read_descriptor
from services.edge.settings import DESCRIPTOR
from tests.conftest import free_port
from tests.e2e.edge.client import assert_clean, assert_refused, assert_refused_by_nextapi, exchange
from tests.e2e.edge.upstream import Upstream
from tests.e2e.edge_process import RunningEdge, running_edge

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROBES = {
    "/healthz": b"ok\n",
    "/readyz": b"",
    "/healthz?from=balancer": b"ok\n",
    "/readyz?from=balancer": b"",
}
HEADERS = {
    "a host": b"host: edge\r\n",
    "no host": b"",
    "an address as host": b"host: 10.0.0.1:8080\r\n",
    "an empty host": b"host:\r\n",
    "a probe's agent": b"user-agent: Old-HealthChecker/1.0\r\nconnection: keep-alive\r\naccept: */*\r\n",
}
USE = "Use HTTP/1.1 or HTTP/2."
ENDPOINTS = read_descriptor(DESCRIPTOR).endpoints


@pytest.mark.parametrize(("path", "headers"), list(itertools.product(PROBES, HEADERS)))
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_probe_is_answered_in_http_1_0(
    edge: RunningEdge, method: str, path: str, headers: str
) -> None:
    answer = await exchange(edge, f"{method} {path} HTTP/1.0\r\n".encode() + HEADERS[headers] + b"\r\n")

    assert answer.status == 200
    assert answer.body == (b"" if method == "HEAD" else PROBES[path])
    assert_clean(answer)


@pytest.mark.parametrize("path", PROBES)
async def test_a_probe_by_head_is_answered(edge: RunningEdge, path: str) -> None:
    answer = await exchange(edge, f"HEAD {path} HTTP/1.1\r\nhost: edge\r\nconnection: close\r\n\r\n".encode())

    assert (answer.status, answer.body) == (200, b"")
    assert_clean(answer)


@pytest.mark.parametrize("request_line", ["GET /readyz HTTP/1.0", "HEAD /readyz HTTP/1.0"])
async def test_an_edge_that_is_not_ready_says_so_in_http_1_0(request_line: str) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    async with running_edge(jobs_targets=nowhere, billing_targets=nowhere, ready_path="/healthz") as edge:
        answer = await exchange(edge, f"{request_line}\r\n\r\n".encode())

    assert answer.status == 503


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda each: f"{each.verb} {each.template}")
@pytest.mark.parametrize("body", ["", "content-length: 2\r\n\r\n{}"])
async def test_the_api_refuses_http_1_0_whole(
    edge: RunningEdge, upstream: Upstream, endpoint: Endpoint, body: str
) -> None:
    path = endpoint.template.replace("{id}", "a").replace("{token}", "a")
    line = f"{endpoint.verb} {path} HTTP/1.0\r\n"

    answer = await exchange(edge, (line + (body or "\r\n")).encode())

    refused = assert_refused_by_nextapi if "/video/" in path else assert_refused
    refused(answer, 426, USE)
    assert answer.headers["connection"] == "close"
    assert upstream.calls == []


async def test_services_do_not_see_which_http_it_was(edge: RunningEdge, upstream: Upstream) -> None:
    forged = b"GET /v1/models HTTP/1.1\r\nhost: edge\r\nx-edge-protocol: HTTP/1.0\r\n\r\n"

    answer = await exchange(edge, forged)

    assert answer.status == 200
    assert "x-edge-protocol" not in upstream.calls[0].metadata
