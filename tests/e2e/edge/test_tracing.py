"""The edge alone decides what is traced, and its spans say nothing that a client wrote."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from services.common.errors import invalid_field
from services.common.telemetry.tracing import HEADER, is_sampled
from services.edge.tracing import TRACE_HEADERS
from tests.e2e.edge.client import logged, send
from tests.e2e.edge.upstream import Context, Upstream
from tests.e2e.edge_process import RunningEdge, running_edge
from tests.patience import PATIENCE_SECONDS
from tests.spans import SAMPLED, TRACE, Collector, collecting

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECRET = "SecretOfSomebody"
VIDEOS = "/v1/videos/generations"
TOLD = [f"{name}: {SECRET}" for name in ("user-agent", "referer", "x-client-trace-id", "baggage")]


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as listening:
        yield listening


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def tracing(services: Upstream, media_target: str, collector: Collector) -> AsyncIterator[RunningEdge]:
    """An edge that traces every request."""
    async with running_edge(
        jobs_targets=services.target,
        billing_targets=services.target,
        media_targets=(media_target,),
        otlp_endpoint=f"http://{collector.address}",
        traced_percent=100,
    ) as running:
        yield running


async def until_traced(collector: Collector, trace_id: str, *, spans: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(collector.trace(trace_id)) < spans:
        assert time.monotonic() < deadline, collector.spans
        await asyncio.sleep(0.1)


def header_of(upstream: Upstream) -> str:
    return upstream.calls[-1].metadata.get(HEADER, "")


async def test_a_request_is_a_span_whose_trace_its_service_continues(
    tracing: RunningEdge, upstream: Upstream, collector: Collector
) -> None:
    answer = await send(tracing, "GET", f"{VIDEOS}?after={SECRET}", "", TOLD)

    header = header_of(upstream)
    line = await logged(tracing, answer.headers["x-request-id"])
    await until_traced(collector, header[3:35], spans=2)
    received, called = sorted(collector.trace(header[3:35]), key=lambda span: span.parent_id)
    assert is_sampled(header)
    assert (received.service, received.parent_id) == ("edge", "")
    assert (called.parent_id, called.span_id) == (received.span_id, header[36:52])
    assert received.name == called.name == f"GET {VIDEOS}"
    assert line["trace_id"] == header[3:35]
    for name in ("traceparent", "tracestate"):
        assert name not in answer.headers


async def test_a_client_chooses_neither_the_trace_nor_what_is_traced(
    services: Upstream, upstream: Upstream, collector: Collector
) -> None:
    chosen = [f"traceparent: {SAMPLED}", "tracestate: a=b", "baggage: a=b"]
    forced = ["x-client-trace-id: 1", "x-envoy-force-trace: true"]
    async with running_edge(
        jobs_targets=services.target,
        billing_targets=services.target,
        otlp_endpoint=f"http://{collector.address}",
        traced_percent=0,
    ) as edge:
        await send(edge, "GET", VIDEOS, "", [*chosen, *forced])

    metadata = upstream.calls[-1].metadata
    assert not is_sampled(metadata[HEADER])
    assert metadata[HEADER][3:35] != TRACE
    assert not (set(TRACE_HEADERS) - {HEADER}) & set(metadata) - {"tracestate"}
    assert metadata.get("tracestate", "") == ""


async def test_without_a_collector_no_trace_headers_reach_a_service(
    edge: RunningEdge, upstream: Upstream
) -> None:
    await send(edge, "GET", VIDEOS, "", [f"traceparent: {SAMPLED}", "tracestate: a=b", "baggage: a=b"])

    assert not set(TRACE_HEADERS) & set(upstream.calls[-1].metadata)


async def test_callbacks_and_media_are_never_traced(
    tracing: RunningEdge, upstream: Upstream, collector: Collector, media_folder: Path
) -> None:
    (media_folder / "clip.mp4").write_bytes(b"clip")

    await send(tracing, "POST", f"/callbacks/{SECRET}", "{}")
    callback = header_of(upstream)
    media = await send(tracing, "GET", "/media/clip.mp4", "")
    await send(tracing, "GET", f"/nothing/{SECRET}", "")
    await send(tracing, "GET", VIDEOS, "")
    await until_traced(collector, header_of(upstream)[3:35], spans=2)

    assert media.status == 200
    assert not is_sampled(callback)
    assert {span.name for span in collector.spans} == {f"GET {VIDEOS}"}


async def test_no_span_says_what_a_client_wrote(
    tracing: RunningEdge, upstream: Upstream, collector: Collector
) -> None:
    for path in (f"{VIDEOS}?after={SECRET}", f"{VIDEOS}?strange={SECRET}", f"/v1/models/{SECRET}"):
        await send(tracing, "GET", path, "", TOLD)
    await send(tracing, "POST", VIDEOS, f'{{"model":"{SECRET}","input":{{"prompt":"{SECRET}"}}}}', TOLD)
    await until_traced(collector, header_of(upstream)[3:35], spans=2)

    assert collector.messages
    assert not [each for each in collector.messages if SECRET.encode() in each]


async def test_no_span_says_what_a_refusal_quotes(
    tracing: RunningEdge, upstream: Upstream, collector: Collector
) -> None:
    async def refuse(_request: Any, _context: Context) -> Any:
        raise invalid_field("model", "must be known", f"QuoteOf{SECRET}")

    upstream.behaviors["ListVideos"] = refuse

    answer = await send(tracing, "GET", VIDEOS, "")
    await until_traced(collector, header_of(upstream)[3:35], spans=2)

    assert f"QuoteOf{SECRET}" in answer.json["error"]["message"]
    assert not [span for span in collector.spans if f"QuoteOf{SECRET}" in str(span.attributes)]
    assert not [each for each in collector.messages if SECRET.encode() in each]


async def test_an_id_of_a_request_does_not_say_whether_it_is_traced(
    tracing: RunningEdge, edge: RunningEdge, upstream: Upstream
) -> None:
    ids = [(await send(each, "GET", VIDEOS, "")).headers["x-request-id"] for each in (tracing, edge)]

    assert [each[14] for each in ids] == ["4", "4"]
