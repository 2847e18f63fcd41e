"""The edge tells what dashboards use at a port of its own, and nobody reaches Envoy's other pages through it."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from services.edge.metrics import METRICS
from tests.conftest import free_port
from tests.e2e.edge.upstream import Upstream
from tests.e2e.edge_process import RunningEdge, running_edge
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

SERIES_MAX = 400
"""Of one edge; without a choice there would be nearly two thousand."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def edge(services: Upstream) -> AsyncIterator[RunningEdge]:
    async with running_edge(
        metrics_address=f"127.0.0.1:{free_port()}",
        jobs_targets=services.target,
        billing_targets=services.target,
        webhooks_targets=services.target,
    ) as running:
        yield running


async def _asked(address: str | None, request: str) -> tuple[int, str]:
    """Sends one request as it is written, and returns the status and the body."""
    assert address is not None
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"{request} HTTP/1.1\r\nhost: any\r\nconnection: close\r\n\r\n".encode())
    async with asyncio.timeout(PATIENCE_SECONDS):
        answer = (await reader.read()).decode()
    writer.close()
    return int(answer.split(" ")[1]), answer.partition("\r\n\r\n")[2]


async def _samples(edge: RunningEdge) -> dict[tuple[str, ...], float]:
    status, body = await _asked(edge.settings.metrics_address, "GET /metrics")
    assert status == 200
    plain = body if body.startswith("#") else _unchunked(body)
    return {
        (_name(each.name), *(f"{name}={value}" for name, value in sorted(each.labels.items()))): each.value
        for family in text_string_to_metric_families(plain)
        for each in family.samples
    }


def _name(sample: str) -> str:
    """Returns a name as Envoy wrote it: the parser gives counters an ending."""
    return sample.removesuffix("_total") if sample != "envoy_cluster_membership_total" else sample


def _unchunked(body: str) -> str:
    rest, whole = body, ""
    while rest:
        length, _, rest = rest.partition("\r\n")
        whole, rest = whole + rest[: int(length, 16)], rest[int(length, 16) + 2 :]
    return whole


async def test_requests_of_customers_are_counted_by_class(edge: RunningEdge) -> None:
    async with aiohttp.ClientSession() as client:
        for path in ("/v1/models", "/nowhere", "/nowhere"):
            async with client.get(edge.url + path) as answer:
                await answer.read()

    found = await _samples(edge)
    of_edge = "envoy_http_conn_manager_prefix=edge"
    assert found["envoy_http_downstream_rq_xx", of_edge, "envoy_response_code_class=4"] >= 2
    assert ("envoy_cluster_membership_healthy", "envoy_cluster_name=jobs") in found
    assert len(found) < SERIES_MAX


async def test_the_list_is_all_that_envoy_tells_with_these_labels(edge: RunningEdge) -> None:
    listed = {metric.name: set(metric.labels) for metric in METRICS}
    async with aiohttp.ClientSession() as client, asyncio.timeout(PATIENCE_SECONDS):
        found: dict[str, set[str]] = {}
        # Histograms are told some seconds after they were used.
        while found.keys() < listed.keys():
            async with client.get(f"{edge.url}/readyz") as answer:
                assert answer.status == 200
            async with client.get(f"http://{edge.settings.admin_address}/stats/prometheus") as answer:
                found = _labels(await answer.text())

    assert found == listed


def _labels(text: str) -> dict[str, set[str]]:
    """Returns the labels of each metric, but for the bounds of histograms."""
    return {
        _name(family.name): {name for sample in family.samples for name in sample.labels} - {"le"}
        for family in text_string_to_metric_families(text)
    }


@pytest.mark.parametrize(
    "request_line",
    [
        "GET /",
        "GET /stats",
        "GET /stats/prometheus",
        "GET /metrics?usedonly",
        "GET /metrics?filter=(a%2B)%2B$",
        "GET /metrics/",
        "GET /metrics/../quitquitquit",
        "GET //metrics",
        "POST /metrics",
        "HEAD /metrics",
        "POST /quitquitquit",
        "POST /healthcheck/fail",
        "GET /config_dump",
        "GET /certs",
    ],
)
async def test_there_is_one_path_and_one_method(edge: RunningEdge, request_line: str) -> None:
    status, body = await _asked(edge.settings.metrics_address, request_line)

    assert (status, body) == (404, "")


async def test_customers_do_not_reach_it(edge: RunningEdge) -> None:
    status, _ = await _asked(edge.address, "GET /metrics")

    assert status == 404
    assert await _asked(edge.address, "GET /readyz") == (200, "")
