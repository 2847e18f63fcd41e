"""Who creates little is not refused because others create much, and nobody gets past the limit by having many keys."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from reelgate.video.v1 import video_pb2, video_service_pb2, video_service_pb2_grpc

from services.edge.floods import BUSY
from tests.conftest import free_port
from tests.e2e.edge.client import send
from tests.e2e.edge.test_crowds import JOB, JOBS, VIDEO, VIDEOS
from tests.e2e.edge.test_tls import grpc_channel, write_certificate
from tests.e2e.edge.upstream import Context, Upstream
from tests.e2e.edge_process import RunningEdge, running_edge
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

CREATIONS = 8
FLOOD = 200
"""More than can be quiet before all of them are sent."""
REFUSED = (503, grpc.StatusCode.UNAVAILABLE)
LIMITS: dict[str, Any] = {"creations_at_once": CREATIONS, "quiet_creations_per_second_per_key": 1}
Create = Callable[[str], Awaitable[Any]]
"""Creates with a key. Returns the status of the answer."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def edge(services: Upstream) -> AsyncIterator[RunningEdge]:
    async with running_edge(
        jobs_targets=services.target, billing_targets=services.target, **LIMITS
    ) as running:
        yield running


@asynccontextmanager
async def full(create: Create, upstream: Upstream) -> AsyncIterator[None]:
    """Has one key create until it is refused, and all that were let through stay under way until the block ends."""
    ending = asyncio.Event()

    async def behave(request: object, context: Context) -> Any:
        metadata = dict(context.invocation_metadata() or ())
        assert BUSY not in metadata
        if "quiet" not in str(metadata):
            await ending.wait()
        return video_service_pb2.CreateVideoResponse()

    upstream.behaviors["CreateVideo"] = behave
    sent = [asyncio.ensure_future(create("loud")) for _ in range(3 * CREATIONS)]
    try:
        done, _ = await asyncio.wait(sent, timeout=PATIENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        assert done
        assert {task.result() for task in done} <= set(REFUSED)
        yield
    finally:
        ending.set()
        await asyncio.gather(*sent)


async def test_a_quiet_key_is_let_in_where_a_loud_one_has_filled_the_limit(
    edge: RunningEdge, upstream: Upstream
) -> None:
    async def create(key: str) -> int:
        return (await send(edge, "POST", VIDEOS, VIDEO, [f"authorization: Bearer {key}"])).status

    async with full(create, upstream):
        video = await create("quiet")
        job = await send(edge, "POST", JOBS, JOB, ["x-api-key: quieter", f"{BUSY}: yes"])
        again = await create("loud")

    assert (video, job.status, again) == (200, 200, 503)


async def test_many_keys_that_are_each_quiet_do_not_get_past_the_limit(
    edge: RunningEdge, upstream: Upstream
) -> None:
    async def create(key: str) -> int:
        return (await send(edge, "POST", VIDEOS, VIDEO, [f"authorization: Bearer {key}"])).status

    async with full(create, upstream):
        answers = await asyncio.gather(*(create(f"quiet {number}") for number in range(FLOOD)))

    assert set(answers) == {200, 503}


async def test_it_is_the_same_over_grpc(services: Upstream, upstream: Upstream, tmp_path: Path) -> None:
    write_certificate(tmp_path)
    async with (
        running_edge(
            jobs_targets=services.target,
            billing_targets=services.target,
            tls_certificate_file=tmp_path / "tls.crt",
            tls_key_file=tmp_path / "tls.key",
            grpc_address=f"127.0.0.1:{free_port()}",
            **LIMITS,
        ) as secure,
        grpc_channel(secure, tmp_path) as channel,
    ):
        stub = video_service_pb2_grpc.VideoServiceStub(channel)
        request = video_service_pb2.CreateVideoRequest(
            model="mini", input=video_pb2.VideoInput(prompt="a boat")
        )

        async def create(key: str) -> grpc.StatusCode:
            metadata = (("authorization", f"Bearer {key}"), (BUSY, "yes"))
            call = stub.CreateVideo(request, timeout=PATIENCE_SECONDS, metadata=metadata)
            return await call.code()

        async with full(create, upstream):
            quiet, again = await create("quiet"), await create("loud")

    assert (quiet, again) == (grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE)
