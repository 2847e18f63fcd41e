"""Pages of chosen origins may call the API and read what it answers, refusals and streams too; others may not."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from google.api.httpbody_pb2 import HttpBody

from services.common.errors import Reason, ServiceError
from services.edge.browsers import READ
from tests.e2e.edge.client import Answer, send
from tests.e2e.edge.upstream import Context, Upstream
from tests.e2e.edge_process import RunningEdge, running_edge

pytestmark = pytest.mark.asyncio(loop_scope="session")

ORIGIN = "https://app.example.com"
VIDEOS = "/v1/videos/generations"
CREATION = '{"model":"mini","input":{"prompt":"waves"}}'
ASKING = (
    f"origin: {ORIGIN}",
    "access-control-request-method: POST",
    "access-control-request-headers: authorization,idempotency-key",
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def edge(services: Upstream) -> AsyncIterator[RunningEdge]:
    async with running_edge(
        jobs_targets=services.target,
        billing_targets=services.target,
        cors_origins=(ORIGIN, "http://localhost:5173"),
    ) as running:
        yield running


def allowed(answer: Answer) -> str | None:
    return answer.headers.get("access-control-allow-origin")


async def refused(request: Any, context: Context) -> None:
    raise ServiceError(Reason.CREDITS_INSUFFICIENT, "Your balance is low.")


async def streamed(request: Any, context: Context) -> None:
    await context.write(HttpBody(content_type="text/event-stream", data=b"event: end\n\n"))


async def test_a_preflight_is_answered_without_a_key_and_reaches_no_service(
    edge: RunningEdge, upstream: Upstream
) -> None:
    for path in (VIDEOS, f"{VIDEOS}/vid_1", "/v1/video/generations", "/v1/balance"):
        answer = await send(edge, "OPTIONS", path, headers=ASKING)

        assert (answer.status, answer.body, allowed(answer)) == (204, b"", ORIGIN)
        assert "POST" in answer.headers["access-control-allow-methods"]
        assert {"authorization", "idempotency-key", "x-nextapi-environment"} <= set(
            answer.headers["access-control-allow-headers"].split(", ")
        )
        assert "access-control-allow-credentials" not in answer.headers
    assert upstream.calls == []


async def test_answers_refusals_and_streams_can_be_read(edge: RunningEdge, upstream: Upstream) -> None:
    upstream.behaviors |= {"CancelVideo": refused, "WatchVideo": streamed}
    sent = [f"origin: {ORIGIN}"]

    answers = {
        200: await send(edge, "POST", VIDEOS, CREATION, sent),
        402: await send(edge, "POST", f"{VIDEOS}/vid_1/cancel", headers=sent),
        400: await send(edge, "GET", f"{VIDEOS}?strange=1", headers=sent),
        404: await send(edge, "GET", "/v1/nothing", headers=sent),
    }
    stream = await send(edge, "GET", f"{VIDEOS}/vid_1/events", headers=sent)

    assert stream.headers["content-type"] == "text/event-stream"
    assert {status: answer.status for status, answer in answers.items()} == {each: each for each in answers}
    for answer in (*answers.values(), stream):
        assert allowed(answer) == ORIGIN
        assert set(answer.headers["access-control-expose-headers"].split(", ")) == set(READ)


async def test_a_flood_is_refused_so_that_a_page_can_read_it(services: Upstream) -> None:
    async with running_edge(
        jobs_targets=services.target,
        billing_targets=services.target,
        cors_origins=(ORIGIN,),
        calls_per_second_per_address=1,
        ready_path="/healthz",
    ) as edge:
        answers = [await send(edge, "GET", VIDEOS, headers=[f"origin: {ORIGIN}"]) for _ in range(5)]

    [refusal, *_] = [answer for answer in answers if answer.status == 429]
    assert allowed(refusal) == ORIGIN
    assert refusal.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    "origin", ["https://app.example.com.evil.net", "http://app.example.com", "null", "*"]
)
async def test_other_origins_are_told_nothing(edge: RunningEdge, upstream: Upstream, origin: str) -> None:
    preflight = await send(edge, "OPTIONS", VIDEOS, headers=[f"origin: {origin}", *ASKING[1:]])
    answer = await send(edge, "POST", VIDEOS, CREATION, [f"origin: {origin}"])

    assert preflight.status == 404
    assert [name for each in (preflight, answer) for name in each.headers if "access-control" in name] == []


@pytest.mark.parametrize("path", ["/callbacks/token", "/", "/healthz", "/readyz", "/nothing"])
async def test_callbacks_and_pages_are_not_for_other_pages(edge: RunningEdge, path: str) -> None:
    for method in ("OPTIONS", "GET", "POST"):
        answer = await send(edge, method, path, headers=ASKING)
        assert allowed(answer) is None


async def test_without_the_setting_no_page_may(services: Upstream) -> None:
    async with running_edge(jobs_targets=services.target, billing_targets=services.target) as edge:
        preflight = await send(edge, "OPTIONS", VIDEOS, headers=ASKING)
        answer = await send(edge, "POST", VIDEOS, CREATION, [f"origin: {ORIGIN}"])

    assert preflight.status == 404
    assert allowed(preflight) is allowed(answer) is None
