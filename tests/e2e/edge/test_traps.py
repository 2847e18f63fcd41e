"""The thirteen traps that Envoy 1.40 was seen to set for an edge like this one, in the order they were noted."""

import asyncio
import os
import signal
import struct
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_health.v1 import health_pb2, health_pb2_grpc
from reelgate.internal.keys.v1 import key_service_pb2, key_service_pb2_grpc
from reelgate.video.v1 import video_pb2, video_service_pb2, video_service_pb2_grpc

from services.common.rpc.exactness import ADVICE
from services.edge.drain import drain
from services.edge.render import as_yaml, render
from services.edge.settings import DESCRIPTOR, EdgeSettings
from tests.e2e.edge.client import assert_clean, assert_not_found, assert_refused, send, wait_for_status
from tests.e2e.edge.upstream import Context, Upstream, serving_upstream
from tests.e2e.edge_process import RunningEdge, running_edge

pytestmark = pytest.mark.asyncio(loop_scope="session")

VIDEOS = "/v1/videos/generations"
CREATION = '{"model":"mini","input":{"prompt":"waves"}}'
TOO_LARGE = (
    "The request body must be at most 256 KiB. Send files with POST /v1/uploads, and name their addresses."
)


@pytest.mark.parametrize("path", [f"{VIDEOS}/vid_1?id=vid_2", f"{VIDEOS}/vid_1?%69d=vid_2"])
async def test_trap_1_a_query_never_replaces_what_the_path_says(
    edge: RunningEdge, upstream: Upstream, path: str
) -> None:
    answer = await send(edge, "GET", path)

    assert answer.status == 400
    assert upstream.calls == []


@pytest.mark.parametrize("chunked", [False, True])
async def test_trap_1_a_body_never_replaces_what_the_path_says(
    edge: RunningEdge, upstream: Upstream, *, chunked: bool
) -> None:
    if chunked:
        body, headers = '12\r\n{"id":    "vid_2"}\r\n0\r\n\r\n', ["transfer-encoding: chunked"]
    else:
        body, headers = '{"id":"vid_2"}', []

    answer = await send(edge, "GET", f"{VIDEOS}/vid_1", body, headers)

    assert_refused(answer, 400, "A GET request takes no body.")
    assert upstream.calls == []


async def test_trap_2_native_grpc_reaches_nothing(edge: RunningEdge, upstream: Upstream) -> None:
    async with grpc.aio.insecure_channel(edge.address) as channel:
        calls = (
            video_service_pb2_grpc.VideoServiceStub(channel).GetVideo(
                video_service_pb2.GetVideoRequest(id="a")
            ),
            health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest()),
            key_service_pb2_grpc.KeyServiceStub(channel).LookUpKey(key_service_pb2.LookUpKeyRequest()),
        )
        codes = []
        for call in calls:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call
            codes.append(refused.value.code())

    assert codes == [grpc.StatusCode.UNKNOWN] * 3
    assert upstream.calls == []


async def test_trap_2_an_endpoint_called_as_grpc_is_taken_for_json(
    edge: RunningEdge, upstream: Upstream
) -> None:
    frame = b"\0" + struct.pack(">I", 6) + b"\x0a\x04mini"

    answer = await send(edge, "POST", VIDEOS, frame, ["content-type: application/grpc", "te: trailers"])

    assert_refused(answer, 415, f"The request body is a gRPC message. {ADVICE}")
    assert upstream.calls == []


@pytest.mark.parametrize("method", ["HEAD", "PATCH", "PUT", "DELETE", "OPTIONS", "TRACE"])
async def test_trap_3_a_wrong_method_is_not_found(edge: RunningEdge, upstream: Upstream, method: str) -> None:
    answer = await send(edge, method, "/v1/models")

    if method == "HEAD":
        assert (answer.status, answer.body) == (404, b"")
        assert_clean(answer)
    else:
        assert_not_found(answer)
    assert upstream.calls == []


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1/videos",
        "/v1/models/",
        "//v1/models",
        "/v1//models",
        f"{VIDEOS}/a/b",
        f"{VIDEOS}/a%2Fb",
        f"{VIDEOS}/..%2fgenerations",
        f"{VIDEOS}/..",
        f"{VIDEOS}/a:cancel",
        f"{VIDEOS}/a%3Acancel",
        f"{VIDEOS}/%ff",
        f"{VIDEOS}:cancel",
        "/V1/models",
        "/callbacks/",
        "/reelgate.video.v1.VideoService/GetVideo",
        "/reelgate.internal.keys.v1.KeyService/LookUpKey",
        "/reelgate.admin.v1.AccountService/CreateAccount",
    ],
)
async def test_trap_3_a_wrong_path_is_not_found(edge: RunningEdge, upstream: Upstream, path: str) -> None:
    assert_not_found(await send(edge, "GET", path))
    assert_not_found(await send(edge, "POST", path, "{}"))
    assert upstream.calls == []


async def test_trap_4_an_unknown_body_field_is_refused_although_the_transcoder_drops_it(
    edge: RunningEdge, upstream: Upstream
) -> None:
    answer = await send(edge, "POST", VIDEOS, '{"model":"mini","input":{"prompt":"waves","foo":1},"bar":2}')

    assert answer.status == 400
    assert answer.json["error"]["message"].startswith("Field input.foo is not known.")
    assert upstream.calls == []


async def test_trap_5_a_body_over_256_kib_is_refused(edge: RunningEdge, upstream: Upstream) -> None:
    answer = await send(edge, "POST", VIDEOS, " " * 300 * 1024)

    assert_refused(answer, 413, TOO_LARGE, code="request_too_large")
    assert upstream.calls == []


@pytest.mark.parametrize("path", [VIDEOS, "/callbacks/token"])
async def test_trap_5_a_chunked_body_over_256_kib_is_refused(
    edge: RunningEdge, upstream: Upstream, path: str
) -> None:
    chunks = "8000\r\n" + " " * 0x8000 + "\r\n"
    headers = ["transfer-encoding: chunked"]

    answer = await send(edge, "POST", path, chunks * 10 + "0\r\n\r\n", headers)

    assert_refused(answer, 413, TOO_LARGE, code="request_too_large")
    assert upstream.calls == []


async def test_trap_6_headers_that_only_grpc_may_send_are_dropped(
    edge: RunningEdge, upstream: Upstream
) -> None:
    forged = ["x-foo-bin: %%%", "x-api-error-bin: QUJD", "grpc-timeout: abc", "grpc-encoding: gzip"]

    answer = await send(edge, "GET", f"{VIDEOS}/vid_1", headers=forged)

    assert answer.status == 200
    seen = upstream.calls[0].metadata
    assert [name for name in seen if name.endswith("-bin") or name.startswith("grpc-")] == []
    assert 8 < upstream.calls[0].remaining_seconds <= 9


async def test_trap_6_headers_over_8_kib_are_refused(edge: RunningEdge, upstream: Upstream) -> None:
    answer = await send(edge, "GET", "/v1/models", headers=[f"a: {'b' * 8192}"])

    assert_refused(answer, 431, "The request headers must be at most 8 KiB in at most 64 lines.")
    assert upstream.calls == []


async def test_trap_7_bad_utf_8_in_a_query_is_a_clean_refusal(edge: RunningEdge, upstream: Upstream) -> None:
    answer = await send(edge, "GET", f"{VIDEOS}?after=%ff")

    assert_refused(
        answer, 400, "The request is not valid: every text must be UTF-8, and objects at most 5 levels deep."
    )


async def test_trap_8_json_is_printed_as_the_contract_shows_it(edge: RunningEdge, upstream: Upstream) -> None:
    created = await send(edge, "POST", VIDEOS, CREATION)
    got = await send(edge, "GET", f"{VIDEOS}/vid_2")
    listed = await send(edge, "GET", VIDEOS)
    balance = await send(edge, "GET", "/v1/balance")
    usage = await send(edge, "GET", "/v1/usage")

    assert created.body == (
        b'{"data":{"id":"vid_1","status":"pending","model":"mini","credits_reserved":100,'
        b'"created_at":"2026-06-29T10:00:00.000Z"}}'
    )
    assert got.body == (
        b'{"data":{"id":"vid_2","status":"failed","model":"mini","created_at":"2026-06-29T10:00:00.000Z",'
        b'"credits_charged":0,"metadata":{"a":[1,1.5,null,{}]}}}'
    )
    assert listed.body == b'{"data":[]}'
    assert balance.body == b'{"data":{"available":1.05,"held":0}}'
    assert (usage.json["data"]["summary"]["completed_jobs"], usage.json["data"]["timeline"]) == (8, [])


async def test_trap_9_successes_of_the_edge_itself_keep_their_body(edge: RunningEdge) -> None:
    answer = await send(edge, "GET", "/healthz")

    assert (answer.status, answer.body) == (200, b"ok\n")
    assert_clean(answer)


async def test_trap_10_an_answer_may_be_larger_than_a_stream_buffer(
    edge: RunningEdge, upstream: Upstream
) -> None:
    async def long_list(request: object, context: Context) -> video_service_pb2.ListVideosResponse:
        video = video_pb2.Video(id="v" * 100_000)
        return video_service_pb2.ListVideosResponse(data=[video] * 20)

    upstream.behaviors["ListVideos"] = long_list

    answer = await send(edge, "GET", VIDEOS)

    assert answer.status == 200
    assert len(answer.json["data"]) == 20


async def test_trap_11_the_configuration_changes_with_the_contract(tmp_path: Path) -> None:
    descriptor = tmp_path / "descriptor.binpb"
    descriptor.write_bytes(DESCRIPTOR.read_bytes())
    settings = EdgeSettings(descriptor=descriptor)
    before = as_yaml(render(settings))
    files = FileDescriptorSet.FromString(descriptor.read_bytes())
    next(file for file in files.file if file.name.endswith("/video.proto")).message_type.add(name="Added")
    descriptor.write_bytes(files.SerializeToString())

    after = as_yaml(render(settings))

    assert before != after
    assert str(tmp_path) not in after


async def test_trap_12_every_process_of_a_service_gets_requests(upstream: Upstream) -> None:
    async with (
        serving_upstream() as other,
        running_edge(
            jobs_targets=f"{upstream.target},{other.target}", billing_targets=upstream.target
        ) as edge,
    ):
        for _ in range(30):
            assert (await send(edge, "GET", "/v1/models")).status == 200

        counts = [len(process.calls) for process in (upstream, other)]

    assert sum(counts) == 30
    assert min(counts) >= 5


async def test_trap_13_a_drained_edge_has_answered_everything_when_it_ends(upstream: Upstream) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def wait(request: object, context: Context) -> video_service_pb2.GetVideoResponse:
        reached.set()
        await go_on.wait()
        return video_service_pb2.GetVideoResponse()

    upstream.behaviors["GetVideo"] = wait
    async with running_edge(jobs_targets=upstream.target, billing_targets=upstream.target) as edge:
        slow = asyncio.create_task(send(edge, "GET", f"{VIDEOS}/vid_1"))
        await reached.wait()
        draining = asyncio.create_task(drain(edge.settings))
        await wait_for_status(edge, "/readyz", 503)
        assert not draining.done()
        go_on.set()
        await draining
        answered = await slow
        os.kill(edge.process.pid, signal.SIGTERM)

        assert edge.process.wait(5) == 0

    assert answered.status == 200
    assert answered.headers["connection"] == "close"
