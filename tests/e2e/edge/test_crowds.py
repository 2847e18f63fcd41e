"""Creations under way at once are bounded at the edge: more are refused at once, and everything else goes on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
import pytest_asyncio
from google.rpc import error_details_pb2, status_pb2
from reelgate.video.v1 import video_pb2, video_service_pb2, video_service_pb2_grpc

from tests.conftest import free_port
from tests.e2e.edge.client import Answer, assert_refused, assert_refused_by_nextapi, send
from tests.e2e.edge.test_tls import grpc_channel, write_certificate
from tests.e2e.edge.upstream import Context, Upstream
from tests.e2e.edge_process import RunningEdge, running_edge
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

CREATIONS = 2
FLOOD = 40
TOO_MANY = "Too many requests are under way at the moment. Try again in 1 s."
VIDEOS, JOBS = "/v1/videos/generations", "/v1/video/generations"
VIDEO = '{"model":"mini","input":{"prompt":"a boat"}}'
JOB = '{"model":"mini","prompt":"a boat"}'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("tls")
    write_certificate(found)
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def narrow(services: Upstream) -> AsyncIterator[RunningEdge]:
    async with running_edge(
        jobs_targets=services.target,
        billing_targets=services.target,
        creations_at_once=CREATIONS,
        quiet_creations_per_second_per_key=0,
    ) as running:
        yield running


@asynccontextmanager
async def creations_under_way(edge: RunningEdge, upstream: Upstream) -> AsyncIterator[None]:
    """Has as many creations under way as the edge lets through, until the block ends. They succeed then."""
    ending = asyncio.Event()

    async def create(request: object, context: Context) -> Any:
        await ending.wait()
        return video_service_pb2.CreateVideoResponse()

    upstream.behaviors["CreateVideo"] = create
    sent = [asyncio.create_task(send(edge, "POST", VIDEOS, VIDEO)) for _ in range(CREATIONS)]
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(upstream.calls) < CREATIONS:  # noqa: ASYNC110  nobody rings
            await asyncio.sleep(0.01)
    try:
        yield
    finally:
        ending.set()
        answers: list[Answer] = await asyncio.gather(*sent)
    assert [answer.status for answer in answers] == [200] * CREATIONS


async def test_one_creation_too_many_is_refused_in_either_contract_and_told_when_to_come_back(
    narrow: RunningEdge, upstream: Upstream
) -> None:
    async with creations_under_way(narrow, upstream):
        video = await send(narrow, "POST", VIDEOS, VIDEO)
        job = await send(narrow, "POST", JOBS, JOB)

    assert_refused(video, 503, TOO_MANY, code="internal_error", kind="api_error")
    assert_refused_by_nextapi(job, 503, TOO_MANY, code="internal_error")
    assert [answer.headers["retry-after"] for answer in (video, job)] == ["1", "1"]
    assert len(upstream.calls) == CREATIONS


async def test_polls_go_on_and_so_does_all_that_creates_nothing(
    narrow: RunningEdge, upstream: Upstream
) -> None:
    async with creations_under_way(narrow, upstream):
        answers = [
            await send(narrow, "GET", f"{VIDEOS}/vid_1"),
            await send(narrow, "GET", f"{JOBS}/job_1"),
            await send(narrow, "POST", f"{VIDEOS}/vid_1/cancel"),
            await send(narrow, "POST", "/callbacks/tok_1", b"{}"),
        ]

    assert [answer.status for answer in answers] == [200] * 4


async def test_creations_are_let_through_again_when_others_have_ended(
    narrow: RunningEdge, upstream: Upstream
) -> None:
    async with creations_under_way(narrow, upstream):
        assert (await send(narrow, "POST", VIDEOS, VIDEO)).status == 503

    assert (await send(narrow, "POST", VIDEOS, VIDEO)).status == 200


async def test_over_grpc_the_refusal_says_when_to_come_back_too(
    services: Upstream, upstream: Upstream, folder: Path
) -> None:
    async with (
        running_edge(
            jobs_targets=services.target,
            billing_targets=services.target,
            tls_certificate_file=folder / "tls.crt",
            tls_key_file=folder / "tls.key",
            grpc_address=f"127.0.0.1:{free_port()}",
            creations_at_once=1,
            quiet_creations_per_second_per_key=0,
        ) as edge,
        grpc_channel(edge, folder) as channel,
    ):
        ending = asyncio.Event()

        async def create(request: object, context: Context) -> Any:
            await ending.wait()
            return video_service_pb2.CreateVideoResponse()

        upstream.behaviors["CreateVideo"] = create
        request = video_service_pb2.CreateVideoRequest(
            model="mini", input=video_pb2.VideoInput(prompt="a boat")
        )
        stub = video_service_pb2_grpc.VideoServiceStub(channel)
        first = asyncio.ensure_future(stub.CreateVideo(request, timeout=PATIENCE_SECONDS))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not upstream.calls:  # noqa: ASYNC110  nobody rings
                await asyncio.sleep(0.01)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.CreateVideo(request, timeout=PATIENCE_SECONDS)
        ending.set()
        await first

    error = refused.value
    assert (error.code(), error.details()) == (grpc.StatusCode.UNAVAILABLE, TOO_MANY)
    trailers = dict(cast("Any", error.trailing_metadata()))
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(retry)
    assert (status.message, info.reason, retry.retry_delay.seconds) == (TOO_MANY, "UNAVAILABLE", 1)


async def test_a_key_that_floods_is_held_back_and_another_is_not(
    services: Upstream, upstream: Upstream
) -> None:
    async with running_edge(
        jobs_targets=services.target, billing_targets=services.target, creations_per_second_per_key=1
    ) as edge:

        async def create(path: str, body: str, *headers: str) -> Answer:
            return await send(edge, "POST", path, body, headers)

        videos = await asyncio.gather(
            *(create(VIDEOS, VIDEO, "authorization: Bearer loud") for _ in range(FLOOD))
        )
        jobs = await asyncio.gather(*(create(JOBS, JOB, "x-api-key: louder") for _ in range(FLOOD)))
        polled = await send(edge, "GET", f"{VIDEOS}/vid_1", headers=["authorization: Bearer loud"])
        other = await create(VIDEOS, VIDEO, "authorization: Bearer quiet")

    for answers, check in ((videos, assert_refused), (jobs, assert_refused_by_nextapi)):
        refused = [answer for answer in answers if answer.status != 200]
        assert 0 < len(refused) < FLOOD
        for answer in refused:
            kind = {"kind": "api_error"} if check is assert_refused else {}
            check(answer, 503, TOO_MANY, code="internal_error", **kind)
            assert answer.headers["retry-after"] == "1"
    assert (polled.status, other.status) == (200, 200)
