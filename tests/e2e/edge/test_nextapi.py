"""What Envoy itself refuses on the NextAPI contract's paths, and only there: an envelope without a type."""

import struct
from typing import Any

import pytest

from services.common.errors import Reason, ServiceError
from services.common.rpc.exactness import ADVICE
from tests.conftest import free_port
from tests.e2e.edge.client import assert_not_found, assert_refused_by_nextapi, exchange, send
from tests.e2e.edge.upstream import Upstream
from tests.e2e.edge_process import RunningEdge, running_edge

pytestmark = pytest.mark.asyncio(loop_scope="session")

JOBS = "/v1/video/generations"
NO_ENDPOINT = "There is no such endpoint. Check the method and the path."
NO_HOST = "The Host header is missing."
FAILED = "Unexpected server error."


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", JOBS),
        ("GET", f"{JOBS}/"),
        ("GET", f"{JOBS}/a/b"),
        ("GET", f"{JOBS}/a:cancel"),
        ("POST", f"{JOBS}/a"),
        ("PUT", f"{JOBS}?limit=1"),
    ],
)
async def test_an_unknown_endpoint_below_its_path_has_its_envelope(
    edge: RunningEdge, upstream: Upstream, method: str, path: str
) -> None:
    answer = await send(edge, method, path)

    assert_refused_by_nextapi(answer, 404, NO_ENDPOINT, code="not_found")
    assert upstream.calls == []


@pytest.mark.parametrize(
    "path", [f"{JOBS}x", "/v1/video", "/v1/video/", "/v1/x?path=/v1/video/generations", "/v1/videos/a"]
)
async def test_a_path_beside_its_own_has_the_other_envelope(edge: RunningEdge, path: str) -> None:
    assert_not_found(await send(edge, "GET", path))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{", "The request body is not valid JSON at line 1, column 2: it ends too early."),
        ("[]", "The request body must be a JSON object. It was a list."),
        ('{"model":5}', "Field model must be a text. It was the number 5."),
        (
            '{"duration_seconds":"fi\\"ve"}',
            'Field duration_seconds must be a whole number. It was the text "fi"ve".',
        ),
        (b'{"model":"\xff"}', "The request body is not valid JSON at line 1, column 11: this is not UTF-8."),
    ],
)
async def test_a_bad_body_is_refused_in_its_envelope(
    edge: RunningEdge, upstream: Upstream, body: str | bytes, message: str
) -> None:
    answer = await send(edge, "POST", JOBS, body)

    assert_refused_by_nextapi(answer, 400, message)
    assert upstream.calls == []


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (f"{JOBS}?after=x", 'Unknown query parameter "after". Allowed: limit, offset.'),
        (f"{JOBS}?offset=abc", 'Field offset must be a whole number. It was "abc".'),
        (f"{JOBS}/job_1?id=job_2", 'Unknown query parameter "id". Allowed: wait.'),
    ],
)
async def test_a_bad_query_is_refused_in_its_envelope(edge: RunningEdge, path: str, message: str) -> None:
    assert_refused_by_nextapi(await send(edge, "GET", path), 400, message)


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_256_kib_is_refused_in_its_envelope(edge: RunningEdge, *, chunked: bool) -> None:
    body, headers = " " * 300 * 1024, []
    if chunked:
        body, headers = f"4b000\r\n{body}\r\n0\r\n\r\n", ["transfer-encoding: chunked"]

    answer = await send(edge, "POST", JOBS, body, headers)

    message = "The request body must be at most 256 KiB. Send files with POST /v1/uploads, and name their addresses."
    assert_refused_by_nextapi(answer, 413, message, code="request_too_large")


async def test_a_get_with_a_body_is_refused_in_its_envelope(edge: RunningEdge) -> None:
    answer = await send(edge, "GET", f"{JOBS}/job_1", '{"id":"job_2"}')

    assert_refused_by_nextapi(answer, 400, "A GET request takes no body.")


async def test_what_is_refused_before_it_is_routed_has_its_envelope(edge: RunningEdge) -> None:
    answer = await exchange(edge, f"GET {JOBS} HTTP/1.1\r\n\r\n".encode())

    assert_refused_by_nextapi(answer, 400, NO_HOST)


async def test_grpc_is_refused_in_its_envelope(edge: RunningEdge, upstream: Upstream) -> None:
    frame = b"\0" + struct.pack(">I", 6) + b"\x0a\x04mini"

    answer = await send(edge, "POST", JOBS, frame, ["content-type: application/grpc", "te: trailers"])

    assert_refused_by_nextapi(answer, 415, f"The request body is a gRPC message. {ADVICE}")
    assert upstream.calls == []


async def test_a_refusal_of_the_service_comes_in_its_envelope(edge: RunningEdge, upstream: Upstream) -> None:
    async def refuse(request: Any, context: Any) -> Any:
        raise ServiceError(Reason.JOB_NOT_FOUND, 'There is no task "job_1".')

    upstream.behaviors["GetJob"] = refuse

    answer = await send(edge, "GET", f"{JOBS}/job_1")

    assert_refused_by_nextapi(answer, 404, 'There is no task "job_1".', code="not_found")


async def test_a_body_that_does_not_arrive_is_refused_in_its_envelope(upstream: Upstream) -> None:
    def impatient(config: Any) -> None:
        [chain] = config["static_resources"]["listeners"][0]["filter_chains"]
        chain["filters"][-1]["typed_config"]["request_timeout"] = "0.3s"

    async with running_edge(
        jobs_targets=upstream.target, billing_targets=upstream.target, change=impatient
    ) as edge:
        answer = await send(edge, "POST", JOBS, "1\r\n{\r\n", ["transfer-encoding: chunked"])

    assert_refused_by_nextapi(answer, 408, "The request did not arrive in time.")


async def test_an_absent_service_is_told_in_its_envelope(upstream: Upstream) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    async with running_edge(
        jobs_targets=nobody, billing_targets=upstream.target, ready_path="/healthz"
    ) as edge:
        answer = await send(edge, "GET", f"{JOBS}/job_1")

    assert_refused_by_nextapi(answer, 503, FAILED, code="internal_error")


async def test_a_success_is_printed_as_the_contract_shows_it(edge: RunningEdge, upstream: Upstream) -> None:
    created = await send(edge, "POST", JOBS, '{"model":"seedance-2.0-pro","prompt":"waves"}')
    listed = await send(edge, "GET", JOBS)

    assert created.body == b'{"id":"job_1","status":"queued","estimated_credits":1.05}'
    assert listed.body == b'{"data":[],"limit":20,"offset":0,"has_more":false}'
