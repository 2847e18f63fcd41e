"""A refusal crosses a real hop as itself; anything else leaves as little as possible."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from reelgate.internal.keys.v1 import key_service_pb2, key_service_pb2_grpc

from services.common.errors import Reason, ServiceError
from services.common.rpc import server
from services.common.rpc.both_ends import request_id
from services.common.rpc.bounds import bounded
from services.common.rpc.client import CALL_TIMEOUT_SECONDS, is_cut_off, open_channel
from services.common.rpc.durations import FAREWELL_SECONDS
from services.common.rpc.interceptors import errors_mapped, logged
from services.common.rpc.server import Port, serve
from services.common.telemetry.call_lines import CallLine, lines_sent_to
from tests.conftest import free_port
from tests.patience import PATIENCE_SECONDS

SERVICE = "reelgate.internal.keys.v1.KeyService"
METHOD = f"/{SERVICE}/LookUpKey"
REQUEST = key_service_pb2.LookUpKeyRequest(key_sha256=bytes(32))
Answer = Callable[[grpc.aio.ServicerContext[Any, Any]], Awaitable[key_service_pb2.LookUpKeyResponse]]


class Servicer(key_service_pb2_grpc.KeyServiceServicer):
    """Answers as the test says."""

    def __init__(self) -> None:
        self.answer: Answer = self._empty

    async def _empty(self, _context: Any) -> key_service_pb2.LookUpKeyResponse:
        return key_service_pb2.LookUpKeyResponse()

    def fail_with(self, error: Exception) -> None:
        async def answer(_context: Any) -> key_service_pb2.LookUpKeyResponse:
            raise error

        self.answer = answer

    async def LookUpKey(  # noqa: N802  the name of the proto
        self, request: key_service_pb2.LookUpKeyRequest, context: Any
    ) -> key_service_pb2.LookUpKeyResponse:
        return await self.answer(context)


def _port(servicer: Servicer) -> Port:
    return Port(
        address="127.0.0.1:0",
        services=((SERVICE, partial(key_service_pb2_grpc.add_KeyServiceServicer_to_server, servicer)),),
        middleware=(logged, errors_mapped, bounded),
    )


@pytest.fixture
def servicer() -> Servicer:
    return Servicer()


@pytest.fixture
async def address(servicer: Servicer) -> AsyncIterator[str]:
    async with serve(_port(servicer)) as [bound]:
        yield bound


@pytest.fixture
async def ours(address: str) -> AsyncIterator["key_service_pb2_grpc.KeyServiceAsyncStub"]:
    """As our own services call."""
    async with open_channel(address) as channel:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await channel.channel_ready()
        yield key_service_pb2_grpc.KeyServiceStub(channel)


@pytest.fixture
async def bare(address: str) -> AsyncIterator[grpc.aio.Channel]:
    """As a stranger calls."""
    async with grpc.aio.insecure_channel(address) as channel:
        yield channel


async def _refusal(call: Awaitable[object]) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        await call
    return caught.value


async def _error(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


def _trailers(error: grpc.aio.AioRpcError) -> dict[str, Any]:
    trailers: Any = error.trailing_metadata() or ()
    return dict(trailers)


@pytest.mark.parametrize("reason", Reason)
async def test_a_refusal_arrives_as_the_error_it_was(
    servicer: Servicer, ours: "key_service_pb2_grpc.KeyServiceAsyncStub", reason: Reason
) -> None:
    servicer.fail_with(ServiceError(reason, "Nein, „so“ nicht.", needed="5", available="3"))

    refused = await _refusal(ours.LookUpKey(REQUEST))

    assert refused.reason is reason
    assert refused.message == "Nein, „so“ nicht."
    assert refused.metadata == {"needed": "5", "available": "3"}


async def test_an_unexpected_error_leaves_as_internal_and_is_logged(
    servicer: Servicer, bare: grpc.aio.Channel, caplog: pytest.LogCaptureFixture
) -> None:
    servicer.fail_with(RuntimeError("password=secret"))

    error = await _error(key_service_pb2_grpc.KeyServiceStub(bare).LookUpKey(REQUEST))

    assert error.code() is grpc.StatusCode.INTERNAL
    assert error.details() == "Unexpected server error."
    assert "secret" not in str(_trailers(error))
    assert json.loads(_trailers(error)["x-api-error-bin"]) == {
        "error": {"code": "internal_error", "message": "Unexpected server error.", "type": "api_error"}
    }
    assert _trailers(error)["x-api-status"] == "500"
    assert "password=secret" in caplog.text


async def test_a_request_that_cannot_be_decoded_is_the_callers_fault(bare: grpc.aio.Channel) -> None:
    error = await _error(bare.unary_unary(METHOD, bytes, bytes)(b"\xff\xff\xff"))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert _trailers(error)["x-api-status"] == "400"


async def test_an_abort_of_grpc_itself_passes_unchanged(servicer: Servicer, bare: grpc.aio.Channel) -> None:
    async def answer(context: grpc.aio.ServicerContext[Any, Any]) -> key_service_pb2.LookUpKeyResponse:
        await context.abort(grpc.StatusCode.ALREADY_EXISTS, "twice")
        raise AssertionError

    servicer.answer = answer

    error = await _error(key_service_pb2_grpc.KeyServiceStub(bare).LookUpKey(REQUEST))

    assert (error.code(), error.details()) == (grpc.StatusCode.ALREADY_EXISTS, "twice")


async def test_a_status_that_is_not_ours_becomes_internal(
    servicer: Servicer, ours: "key_service_pb2_grpc.KeyServiceAsyncStub"
) -> None:
    async def answer(context: grpc.aio.ServicerContext[Any, Any]) -> key_service_pb2.LookUpKeyResponse:
        await context.abort(grpc.StatusCode.DATA_LOSS, "gone")
        raise AssertionError

    servicer.answer = answer

    assert (await _refusal(ours.LookUpKey(REQUEST))).reason is Reason.INTERNAL


async def test_a_call_that_takes_too_long_ends_at_its_deadline(
    servicer: Servicer, ours: "key_service_pb2_grpc.KeyServiceAsyncStub"
) -> None:
    cancelled = asyncio.Event()

    async def answer(_context: Any) -> key_service_pb2.LookUpKeyResponse:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    servicer.answer = answer

    refused = await _refusal(ours.LookUpKey(REQUEST, timeout=0.2))

    assert refused.reason is Reason.DEADLINE_EXCEEDED
    async with asyncio.timeout(PATIENCE_SECONDS):
        await cancelled.wait()


async def test_a_time_out_inside_a_service_is_told_as_one(
    servicer: Servicer, ours: "key_service_pb2_grpc.KeyServiceAsyncStub"
) -> None:
    servicer.fail_with(TimeoutError())

    assert (await _refusal(ours.LookUpKey(REQUEST))).reason is Reason.DEADLINE_EXCEEDED


async def test_a_call_without_a_deadline_gets_one(
    servicer: Servicer, ours: "key_service_pb2_grpc.KeyServiceAsyncStub"
) -> None:
    remaining: list[float | None] = []

    async def answer(context: grpc.aio.ServicerContext[Any, Any]) -> key_service_pb2.LookUpKeyResponse:
        remaining.append(context.time_remaining())
        return key_service_pb2.LookUpKeyResponse()

    servicer.answer = answer

    await ours.LookUpKey(REQUEST)

    [seconds] = remaining
    assert seconds is not None
    assert 0 < seconds < CALL_TIMEOUT_SECONDS + 1


async def test_a_service_that_is_not_there_is_unavailable() -> None:
    async with open_channel(f"127.0.0.1:{free_port()}") as channel:
        refused = await _refusal(key_service_pb2_grpc.KeyServiceStub(channel).LookUpKey(REQUEST))

    assert refused.reason is Reason.UNAVAILABLE


async def test_the_request_id_travels_along_and_is_in_the_log_line(
    servicer: Servicer, ours: "key_service_pb2_grpc.KeyServiceAsyncStub"
) -> None:
    lines: list[CallLine] = []
    found: list[str] = []

    async def answer(_context: Any) -> key_service_pb2.LookUpKeyResponse:
        found.append(request_id.get())
        return key_service_pb2.LookUpKeyResponse()

    servicer.answer = answer
    request_id.set("req-7")

    with lines_sent_to(lines.append):
        await ours.LookUpKey(REQUEST)

    assert found == ["req-7"]
    assert [(line.method, line.code, line.request_id) for line in lines] == [(METHOD, "OK", "req-7")]


async def test_a_stopping_server_refuses_new_calls_and_lets_running_ones_finish(servicer: Servicer) -> None:
    started, may_answer = asyncio.Event(), asyncio.Event()

    async def answer(_context: Any) -> key_service_pb2.LookUpKeyResponse:
        started.set()
        await may_answer.wait()
        return key_service_pb2.LookUpKeyResponse(key_id="late")

    servicer.answer = answer
    serving = serve(_port(servicer))
    [bound] = await serving.__aenter__()
    async with open_channel(bound) as channel, grpc.aio.insecure_channel(bound) as watching:
        await channel.channel_ready()
        call = asyncio.ensure_future(key_service_pb2_grpc.KeyServiceStub(channel).LookUpKey(REQUEST))
        await started.wait()

        stopping = asyncio.create_task(serving.__aexit__(None, None, None))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await _is_serving(watching):  # noqa: ASYNC110  it is seen from outside only
                await asyncio.sleep(0.01)
        may_answer.set()

        assert (await call).key_id == "late"
        await stopping


async def test_what_a_stopping_server_has_not_begun_ends_with_the_last_call_and_may_be_made_again(
    servicer: Servicer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "DRAIN_SECONDS", 100 * PATIENCE_SECONDS)
    started, may_answer = asyncio.Event(), asyncio.Event()

    async def answer(_context: Any) -> key_service_pb2.LookUpKeyResponse:
        started.set()
        await may_answer.wait()
        return key_service_pb2.LookUpKeyResponse(key_id="late")

    servicer.answer = answer
    serving = serve(_port(servicer))
    [bound] = await serving.__aenter__()
    async with open_channel(bound) as channel, grpc.aio.insecure_channel(bound) as watching:
        # Stands for a call that gRPC forgets: nothing of ours knows of it, and it does not end by itself.
        forgotten = health_pb2_grpc.HealthStub(watching).Watch(health_pb2.HealthCheckRequest())
        await forgotten.read()
        call = asyncio.ensure_future(key_service_pb2_grpc.KeyServiceStub(channel).LookUpKey(REQUEST))
        await started.wait()

        stopping = asyncio.create_task(serving.__aexit__(None, None, None))
        assert (await forgotten.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        await asyncio.sleep(2 * FAREWELL_SECONDS)
        assert not stopping.done()
        may_answer.set()

        async with asyncio.timeout(PATIENCE_SECONDS):
            await stopping
        assert (await call).key_id == "late"
        with pytest.raises(grpc.aio.AioRpcError) as cut_off:
            await forgotten.read()
        assert is_cut_off(cut_off.value)


async def test_a_stopping_server_ends_what_calls_only_wait_for(servicer: Servicer) -> None:
    started, moved = asyncio.Event(), asyncio.Event()

    async def answer(_context: Any) -> key_service_pb2.LookUpKeyResponse:
        started.set()
        await moved.wait()
        return key_service_pb2.LookUpKeyResponse(key_id="let go")

    servicer.answer = answer
    serving = serve(_port(servicer), let_go=[moved.set])
    [bound] = await serving.__aenter__()
    async with open_channel(bound, timeout_seconds=PATIENCE_SECONDS) as channel:
        call = asyncio.ensure_future(key_service_pb2_grpc.KeyServiceStub(channel).LookUpKey(REQUEST))
        await started.wait()

        await serving.__aexit__(None, None, None)

        assert (await call).key_id == "let go"


async def test_what_is_cancelled_inside_a_call_is_no_late_call_and_is_not_made_again(
    servicer: Servicer, ours: "key_service_pb2_grpc.KeyServiceAsyncStub"
) -> None:
    begun: list[str] = []

    async def answer(_context: Any) -> key_service_pb2.LookUpKeyResponse:
        begun.append(request_id.get())
        raise asyncio.CancelledError

    servicer.answer = answer

    refused = await _refusal(ours.LookUpKey(REQUEST))

    assert refused.reason is Reason.INTERNAL
    assert len(begun) == 1


async def _is_serving(channel: grpc.aio.Channel) -> bool:
    try:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    except grpc.aio.AioRpcError as error:
        if error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}:
            return False
        raise
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
