"""What a customer sees of the services, and of their absence."""

import asyncio
import struct

import grpc
import pytest
from reelgate.video.v1 import video_pb2, video_service_pb2

from services.common.errors import Reason, ServiceError
from services.edge.extension import Config
from tests.conftest import free_port
from tests.e2e.edge.client import assert_clean, assert_failed, assert_refused, exchange, send, wait_for_status
from tests.e2e.edge.upstream import Context, Upstream, serving_upstream
from tests.e2e.edge_process import RunningEdge, running_edge
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

VIDEOS = "/v1/videos/generations"
CREATION = '{"model":"mini","input":{"prompt":"waves"}}'
TOO_POOR = 'Your balance is "low": bitte für später aufladen.'


async def refuse(request: object, context: Context) -> None:
    raise ServiceError(Reason.CREDITS_INSUFFICIENT, TOO_POOR)


async def refuse_late(request: object, context: Context) -> None:
    await context.send_initial_metadata((("x-ratelimit-limit", "600"),))
    raise ServiceError(Reason.CREDITS_INSUFFICIENT, TOO_POOR)


async def test_a_services_refusal_arrives_whole(edge: RunningEdge, upstream: Upstream) -> None:
    upstream.behaviors["CreateVideo"] = refuse

    answer = await send(edge, "POST", VIDEOS, CREATION)

    assert_refused(answer, 402, TOO_POOR, code="insufficient_credits", kind="billing_error")


async def test_a_refusal_after_the_first_metadata_arrives_whole(
    edge: RunningEdge, upstream: Upstream
) -> None:
    upstream.behaviors["CreateVideo"] = refuse_late

    answer = await send(edge, "POST", VIDEOS, CREATION)

    assert_refused(answer, 402, TOO_POOR, code="insufficient_credits", kind="billing_error")
    assert answer.headers["x-ratelimit-limit"] == "600"


@pytest.mark.parametrize("refused", [False, True])
async def test_nothing_leaks_in_http_2_trailers(
    edge: RunningEdge, upstream: Upstream, *, refused: bool
) -> None:
    if refused:
        upstream.behaviors["GetVideo"] = refuse_late

    frames = await http_2_frames(edge, f"{VIDEOS}/vid_1")

    assert [kind for kind in frames if kind != HTTP_2_DATA] == [HTTP_2_HEADERS]


HTTP_2_DATA, HTTP_2_HEADERS, HTTP_2_SETTINGS, END_STREAM = 0, 1, 4, 1


async def http_2_frames(edge: RunningEdge, path: str) -> list[int]:
    """Returns the types of the frames that answer a GET over HTTP/2, in order (RFC 9113)."""
    fields = ((":method", "GET"), (":scheme", "http"), (":authority", "edge"), (":path", path))
    block = b"".join(b"\0" + bytes([len(n)]) + n.encode() + bytes([len(v)]) + v.encode() for n, v in fields)
    host, _, port = edge.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(HTTP_2_SETTINGS, 0, 0, b""))
        writer.write(_frame(HTTP_2_HEADERS, 0x5, 1, block))
        kinds, flags = [], 0
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not flags & END_STREAM:
                head = await reader.readexactly(9)
                await reader.readexactly(int.from_bytes(head[:3]))
                if int.from_bytes(head[5:]) == 1:
                    kinds.append(head[3])
                    flags = head[4]
        return kinds
    finally:
        writer.transport.abort()


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


async def test_an_unexpected_error_tells_nothing(edge: RunningEdge, upstream: Upstream) -> None:
    async def fail(request: object, context: Context) -> None:
        raise ValueError("a secret")

    upstream.behaviors["GetVideo"] = fail

    answer = await send(edge, "GET", f"{VIDEOS}/vid_1")

    assert_failed(answer, 500)


async def test_an_answer_over_4_mib_is_an_error_of_ours(edge: RunningEdge, upstream: Upstream) -> None:
    async def very_long_list(request: object, context: Context) -> video_service_pb2.ListVideosResponse:
        return video_service_pb2.ListVideosResponse(data=[video_pb2.Video(id="v" * 100_000)] * 50)

    upstream.behaviors["ListVideos"] = very_long_list

    answer = await send(edge, "GET", VIDEOS)

    assert_failed(answer, 500)


async def test_grpcs_own_refusal_is_not_blamed_on_the_customer(edge: RunningEdge, upstream: Upstream) -> None:
    async def too_busy(request: object, context: Context) -> None:
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "Concurrent RPC limit exceeded!")

    upstream.behaviors["GetVideo"] = too_busy

    answer = await send(edge, "GET", f"{VIDEOS}/vid_1")

    assert_failed(answer, 503)


async def test_a_request_id_is_ours_and_the_same_everywhere(edge: RunningEdge, upstream: Upstream) -> None:
    found = await send(edge, "GET", f"{VIDEOS}/vid_1", headers=["x-request-id: mine"])
    missing = await send(edge, "GET", "/v1/nothing", headers=["x-request-id: mine"])

    assert found.headers["x-request-id"] == upstream.calls[0].metadata["x-request-id"] != "mine"
    assert missing.headers["x-request-id"] != "mine"


async def test_a_key_reaches_the_service_in_either_header(edge: RunningEdge, upstream: Upstream) -> None:
    await send(edge, "GET", "/v1/models", headers=["Authorization: Bearer one"])
    await send(edge, "GET", "/v1/balance", headers=["X-API-Key: two"])

    assert upstream.calls[0].metadata["authorization"] == "Bearer one"
    assert upstream.calls[1].metadata["x-api-key"] == "two"


async def test_a_callback_brings_its_body_and_no_credentials(edge: RunningEdge, upstream: Upstream) -> None:
    headers = ["authorization: Bearer one", "x-api-key: two", "cookie: a=b", "idempotency-key: three"]

    answer = await send(edge, "POST", "/callbacks/tok_1", b"\xff any bytes", headers)

    assert (answer.status, answer.body) == (200, b"{}")
    assert_clean(answer)
    call = upstream.calls[0]
    assert (call.request.token, call.request.body.data) == ("tok_1", b"\xff any bytes")
    assert call.metadata.keys().isdisjoint({"authorization", "x-api-key", "cookie", "idempotency-key"})


async def test_services_know_how_long_they_have(edge: RunningEdge, upstream: Upstream) -> None:
    await send(edge, "GET", f"{VIDEOS}/vid_1")
    await send(edge, "POST", VIDEOS, CREATION)
    await send(edge, "GET", f"{VIDEOS}/vid_1?wait=60")

    get, post, wait = upstream.calls
    assert 8 < get.remaining_seconds <= 9
    assert 13 < post.remaining_seconds <= 14
    assert 64 < wait.remaining_seconds <= 65


async def test_a_stream_that_does_not_begin_is_tried_again_and_refused_whole(
    edge: RunningEdge, upstream: Upstream
) -> None:
    async def full(request: object, context: Context) -> None:
        raise ServiceError(Reason.UNAVAILABLE, "Too many watch.", retry_after_seconds="2")

    upstream.behaviors["WatchVideo"] = full

    answer = await send(edge, "GET", f"{VIDEOS}/vid_1/events")

    assert_refused(answer, 503, "Too many watch.", code="internal_error", kind="api_error")
    assert answer.headers["retry-after"] == "2"
    assert [(call.method, call.remaining_seconds) for call in upstream.calls] == [("WatchVideo", None)] * 3


async def test_only_reads_are_tried_again(edge: RunningEdge, upstream: Upstream) -> None:
    async def unavailable(request: object, context: Context) -> None:
        raise ServiceError(Reason.UNAVAILABLE, "Not now.")

    upstream.behaviors |= {"GetVideo": unavailable, "CreateVideo": unavailable}

    read = await send(edge, "GET", f"{VIDEOS}/vid_1")
    write = await send(edge, "POST", VIDEOS, CREATION)

    assert (read.status, write.status) == (503, 503)
    assert [call.method for call in upstream.calls] == ["GetVideo"] * 3 + ["CreateVideo"]


def without_patience(config: Config) -> None:
    *_, manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"]
    manager["typed_config"]["request_timeout"] = "0.3s"
    for route in manager["typed_config"]["route_config"]["virtual_hosts"][0]["routes"]:
        if "route" in route:
            route["route"]["timeout"] = "0.3s"


async def test_who_is_late_is_told_so(upstream: Upstream) -> None:
    async def never(request: object, context: Context) -> None:
        await asyncio.sleep(60)

    upstream.behaviors["GetVideo"] = never
    async with running_edge(
        jobs_targets=upstream.target, billing_targets=upstream.target, change=without_patience
    ) as edge:
        late_service = await send(edge, "GET", f"{VIDEOS}/vid_1")
        late_customer = await exchange(
            edge, f"POST {VIDEOS} HTTP/1.1\r\nhost: edge\r\ncontent-length: 9\r\n\r\n{{".encode()
        )

    assert_failed(late_service, 504)
    assert_refused(late_customer, 408, "The request did not arrive in time.")


async def test_the_edge_is_ready_while_its_services_are_healthy(upstream: Upstream) -> None:
    target = f"127.0.0.1:{free_port()}"
    async with running_edge(
        jobs_targets=target, billing_targets=upstream.target, ready_path="/healthz"
    ) as edge:
        before = await send(edge, "GET", "/readyz")
        down = await send(edge, "GET", "/v1/models")
        other = await send(edge, "GET", "/v1/balance")
        async with serving_upstream(target):
            await wait_for_status(edge, "/readyz", 200)
            up = await send(edge, "GET", "/v1/models")

    assert_failed(before, 503)
    assert_failed(down, 503)
    assert other.status == 200
    assert up.status == 200
