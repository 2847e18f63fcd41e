"""Headers of an answer go behind it if an edge copies them from there, and before it to everybody else."""

from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

import grpc
import pytest
import pytest_asyncio
from reelgate.internal.keys.v1 import key_service_pb2, key_service_pb2_grpc
from typing_extensions import override

from services.common.errors import Reason, ServiceError
from services.common.rpc.interceptors import answer_header, errors_mapped, logged
from services.common.rpc.server import Port, serve
from services.common.rpc.trailing_headers import COPIES
from tests.patience import PATIENCE_SECONDS

SERVICE = "reelgate.internal.keys.v1.KeyService"
REQUEST = key_service_pb2.LookUpKeyRequest(key_sha256=b"k" * 32)
LIMIT = ("x-ratelimit-limit", "600")
OTHER = ("cache-control", "no-cache")


class Servicer(key_service_pb2_grpc.KeyServiceServicer):
    """Sets headers, then answers or refuses."""

    def __init__(self) -> None:
        self.headers: Sequence[tuple[str, str]] = (LIMIT,)
        self.error: ServiceError | None = None

    @override
    async def LookUpKey(self, request: Any, context: Any) -> key_service_pb2.LookUpKeyResponse:
        for name, value in self.headers:
            answer_header(name, value)
        if self.error is not None:
            raise self.error
        return key_service_pb2.LookUpKeyResponse()


@pytest.fixture
def servicer() -> Servicer:
    return Servicer()


@pytest_asyncio.fixture
async def stub(servicer: Servicer) -> AsyncIterator[Any]:
    port = Port(
        address="127.0.0.1:0",
        services=((SERVICE, partial(key_service_pb2_grpc.add_KeyServiceServicer_to_server, servicer)),),
        middleware=(logged, errors_mapped),
    )
    async with serve(port) as [address], grpc.aio.insecure_channel(address) as channel:
        yield key_service_pb2_grpc.KeyServiceStub(channel)


async def _told(stub: Any, *metadata: tuple[str, str]) -> tuple[list[Any], list[Any]]:
    """Returns what stands before an answer, and what behind it."""
    call = stub.LookUpKey(REQUEST, metadata=metadata, timeout=PATIENCE_SECONDS)
    await call.code()
    before, behind = await call.initial_metadata(), await call.trailing_metadata()
    return [(name, value) for name, value in before], [(name, value) for name, value in behind]


async def test_an_edge_that_copies_gets_them_with_the_answer(stub: Any) -> None:
    assert await _told(stub, (COPIES, "yes")) == ([], [LIMIT])


async def test_who_calls_directly_gets_them_before_the_answer(stub: Any) -> None:
    assert await _told(stub) == ([LIMIT], [])


async def test_what_no_edge_copies_goes_before_the_answer(stub: Any, servicer: Servicer) -> None:
    servicer.headers = (LIMIT, OTHER)

    assert await _told(stub, (COPIES, "yes")) == ([LIMIT, OTHER], [])


@pytest.mark.parametrize("metadata", [(), ((COPIES, "yes"),)])
async def test_a_refusal_has_them_behind_it_whoever_calls(
    stub: Any, servicer: Servicer, metadata: tuple[tuple[str, str], ...]
) -> None:
    servicer.error = ServiceError(Reason.KEY_INVALID, "No.")

    before, behind = await _told(stub, *metadata)

    assert before == []
    assert LIMIT in behind
