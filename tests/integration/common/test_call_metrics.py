"""Every call is counted once, on both sides, under the status that it ended with."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import grpc
import pytest
from reelgate.internal.keys.v1 import key_service_pb2, key_service_pb2_grpc

from services.common.errors import Reason, ServiceError
from services.common.rpc.bounds import bounded
from services.common.rpc.client import open_channel
from services.common.rpc.interceptors import errors_mapped, logged
from services.common.rpc.server import Port, serve
from services.common.telemetry.rpc_metrics import leave_untimed
from tests.metric_values import value, values
from tests.patience import PATIENCE_SECONDS

SERVICE = "reelgate.internal.keys.v1.KeyService"
REQUEST = key_service_pb2.LookUpKeyRequest(key_sha256=bytes(32))
LABEL = "KeyService/LookUpKey"
SERVED, MADE = "reelgate_rpc", "reelgate_client_rpc"
Step = Callable[[], Awaitable[None]]


class Servicer(key_service_pb2_grpc.KeyServiceServicer):
    """Takes the next step of the test, then answers."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    async def LookUpKey(  # noqa: N802  the name of the proto
        self, request: key_service_pb2.LookUpKeyRequest, context: Any
    ) -> key_service_pb2.LookUpKeyResponse:
        if self.steps:
            await self.steps.pop(0)()
        return key_service_pb2.LookUpKeyResponse()


def _failing(error: Exception) -> Step:
    async def step() -> None:
        raise error

    return step


@pytest.fixture
def servicer() -> Servicer:
    return Servicer()


@pytest.fixture
async def channel(servicer: Servicer) -> AsyncIterator[grpc.aio.Channel]:
    port = Port(
        address="127.0.0.1:0",
        services=((SERVICE, partial(key_service_pb2_grpc.add_KeyServiceServicer_to_server, servicer)),),
        middleware=(logged, errors_mapped, bounded),
    )
    async with serve(port) as [address], open_channel(address) as opened:
        yield opened


def _counts(side: str) -> dict[str, float]:
    return {code: count for (code, method), count in values(f"{side}_total").items() if method == LABEL}


def _more(side: str, before: dict[str, float]) -> dict[str, float]:
    return {code: n - before.get(code, 0) for code, n in _counts(side).items() if n > before.get(code, 0)}


async def test_every_status_of_a_served_method_counts_from_zero(channel: grpc.aio.Channel) -> None:
    assert set(_counts(SERVED)) == {code.name for code in grpc.StatusCode}


async def test_calls_are_counted_by_status_on_both_sides(
    servicer: Servicer, channel: grpc.aio.Channel
) -> None:
    refusal = ServiceError(Reason.KEY_NOT_FOUND, "There is no such key.")
    stub = key_service_pb2_grpc.KeyServiceStub(channel)
    await stub.LookUpKey(REQUEST)
    served, made = _counts(SERVED), _counts(MADE)
    took = [value(f"{side}_seconds_count", method=LABEL) for side in (SERVED, MADE)]

    for step in ([], [], [_failing(refusal)], [_failing(RuntimeError())]):
        servicer.steps = step
        await asyncio.gather(stub.LookUpKey(REQUEST), return_exceptions=True)

    failed = {refusal.status.grpc: 1, "INTERNAL": 1}
    assert _more(SERVED, served) == {"OK": 2, **failed}
    assert _more(MADE, made) == {"OK": 2, **failed}
    # Only those that succeeded: a refusal is quick, and would hide that the others are slow.
    assert [value(f"{side}_seconds_count", method=LABEL) for side in (SERVED, MADE)] == [n + 2 for n in took]


async def test_a_call_that_waits_at_its_callers_wish_is_counted_but_not_timed(
    servicer: Servicer, channel: grpc.aio.Channel
) -> None:
    async def step() -> None:
        leave_untimed()

    stub = key_service_pb2_grpc.KeyServiceStub(channel)
    served, took = _counts(SERVED), value(f"{SERVED}_seconds_count", method=LABEL)

    servicer.steps = [step]
    await stub.LookUpKey(REQUEST)
    await stub.LookUpKey(REQUEST)

    assert _more(SERVED, served) == {"OK": 2}
    assert value(f"{SERVED}_seconds_count", method=LABEL) == took + 1


async def test_a_caller_that_leaves_is_no_success(servicer: Servicer, channel: grpc.aio.Channel) -> None:
    entered = asyncio.Event()

    async def step() -> None:
        entered.set()
        await asyncio.Event().wait()

    stub = key_service_pb2_grpc.KeyServiceStub(channel)
    await stub.LookUpKey(REQUEST)
    served, made = _counts(SERVED), _counts(MADE)

    servicer.steps = [step]
    call = asyncio.ensure_future(stub.LookUpKey(REQUEST, timeout=PATIENCE_SECONDS))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await entered.wait()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        while not _more(SERVED, served):  # noqa: ASYNC110  nobody rings
            await asyncio.sleep(0.01)

    assert (_more(SERVED, served), _more(MADE, made)) == ({"CANCELLED": 1}, {"CANCELLED": 1})
