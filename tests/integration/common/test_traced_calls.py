"""A trace goes on over a real call where it is sampled; where it is not, the header does, and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import grpc
import pytest
from reelgate.internal.keys.v1 import key_service_pb2, key_service_pb2_grpc

from services.common.errors import Reason, ServiceError
from services.common.rpc.client import open_channel
from services.common.rpc.interceptors import errors_mapped, logged
from services.common.rpc.server import Port, serve
from services.common.telemetry.call_lines import CallLine, lines_sent_to
from services.common.telemetry.exporting import exporting
from services.common.telemetry.tracing import ATTRIBUTES, HEADER, span, traceparent
from tests.conftest import free_port
from tests.patience import PATIENCE_SECONDS
from tests.spans import SAMPLED, TRACE, UNSAMPLED, collecting, id_of, parent_of, spans_kept

SERVICE = "reelgate.internal.keys.v1.KeyService"
REQUEST = key_service_pb2.LookUpKeyRequest(key_sha256=bytes(32))


class Servicer(key_service_pb2_grpc.KeyServiceServicer):
    """Remembers what it was called with."""

    def __init__(self) -> None:
        self.headers: list[str] = []
        self.error: Exception | None = None

    async def LookUpKey(  # noqa: N802  the name of the proto
        self, request: key_service_pb2.LookUpKeyRequest, context: Any
    ) -> key_service_pb2.LookUpKeyResponse:
        self.headers.append(traceparent.get())
        if self.error is not None:
            raise self.error
        return key_service_pb2.LookUpKeyResponse()


@pytest.fixture
def servicer() -> Servicer:
    return Servicer()


@pytest.fixture
async def stub(servicer: Servicer) -> AsyncIterator["key_service_pb2_grpc.KeyServiceAsyncStub"]:
    port = Port(
        address="127.0.0.1:0",
        services=((SERVICE, partial(key_service_pb2_grpc.add_KeyServiceServicer_to_server, servicer)),),
        middleware=(logged, errors_mapped),
    )
    async with serve(port) as [address], open_channel(address) as channel:
        traceparent.set("")
        yield key_service_pb2_grpc.KeyServiceStub(channel)


async def test_a_sampled_call_is_two_spans_of_its_trace(
    stub: "key_service_pb2_grpc.KeyServiceAsyncStub", servicer: Servicer
) -> None:
    with spans_kept() as kept, span("outer", parent=SAMPLED):
        await stub.LookUpKey(REQUEST)

    answered, called, outer = kept.get_finished_spans()
    assert [each.name for each in (answered, called, outer)] == [
        "KeyService/LookUpKey",
        "KeyService/LookUpKey",
        "outer",
    ]
    assert (answered.kind.name, called.kind.name) == ("SERVER", "CLIENT")
    assert parent_of(answered) == id_of(called)
    assert parent_of(called) == id_of(outer)
    assert servicer.headers == [f"00-{TRACE}-{id_of(answered)}-01"]


async def test_an_unsampled_call_makes_no_span_and_passes_its_header_on(
    stub: "key_service_pb2_grpc.KeyServiceAsyncStub", servicer: Servicer
) -> None:
    traceparent.set(UNSAMPLED)

    with spans_kept() as kept:
        await stub.LookUpKey(REQUEST)

    assert not kept.get_finished_spans()
    assert servicer.headers == [UNSAMPLED]


async def test_a_call_without_a_trace_begins_none(
    stub: "key_service_pb2_grpc.KeyServiceAsyncStub", servicer: Servicer
) -> None:
    with spans_kept() as kept:
        await stub.LookUpKey(REQUEST)

    assert not kept.get_finished_spans()
    assert servicer.headers == [""]


@pytest.mark.parametrize(
    ("reason", "code", "is_error"),
    [(Reason.INVALID_FIELD, "INVALID_ARGUMENT", False), (Reason.UNAVAILABLE, "UNAVAILABLE", True)],
)
async def test_a_span_says_how_its_call_ended(
    stub: "key_service_pb2_grpc.KeyServiceAsyncStub",
    servicer: Servicer,
    reason: Reason,
    code: str,
    is_error: bool,
) -> None:
    servicer.error = ServiceError(reason, "a prompt")

    with spans_kept() as kept, span("outer", parent=SAMPLED), pytest.raises(ServiceError):
        await stub.LookUpKey(REQUEST)
    async with asyncio.timeout(PATIENCE_SECONDS):
        # The span of the answer ends after it was sent.
        while len(kept.get_finished_spans()) < 3:  # noqa: ASYNC110  nobody rings
            await asyncio.sleep(0)

    for each in kept.get_finished_spans():
        if each.name == "outer":
            continue
        assert each.attributes is not None
        assert each.attributes[ATTRIBUTES["code"]] == code
        assert (each.status.status_code.name == "ERROR") is is_error
        assert "a prompt" not in each.to_json()


async def test_the_line_of_a_call_belongs_to_its_trace(
    stub: "key_service_pb2_grpc.KeyServiceAsyncStub",
) -> None:
    lines: list[CallLine] = []
    traceparent.set(UNSAMPLED)

    with lines_sent_to(lines.append):
        await stub.LookUpKey(REQUEST)

    assert [line.trace_id for line in lines] == [TRACE]


async def test_a_header_that_is_none_harms_no_call(servicer: Servicer) -> None:
    port = Port(
        address="127.0.0.1:0",
        services=((SERVICE, partial(key_service_pb2_grpc.add_KeyServiceServicer_to_server, servicer)),),
        middleware=(logged, errors_mapped),
    )
    junk = "x" * 54 + "1"
    async with serve(port) as [address], grpc.aio.insecure_channel(address) as channel:
        with spans_kept() as kept:
            await key_service_pb2_grpc.KeyServiceStub(channel).LookUpKey(REQUEST, metadata=((HEADER, junk),))

    assert not kept.get_finished_spans()


async def test_spans_reach_a_collector_over_otlp() -> None:
    with collecting() as collector:
        async with exporting("tests", f"http://{collector.address}"):
            with span("any", parent=SAMPLED, job="vid_1"):
                pass

    [found] = collector.trace(TRACE)
    assert (found.service, found.name, found.parent_id) == ("tests", "any", SAMPLED[36:52])
    assert found.attributes == {ATTRIBUTES["job"]: "vid_1"}


async def test_without_a_collector_a_process_goes_on_and_ends() -> None:
    async with exporting("tests", f"http://127.0.0.1:{free_port()}"):
        with span("any", parent=SAMPLED):
            pass
