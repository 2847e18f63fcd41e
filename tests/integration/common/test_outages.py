"""Whatever fails behind a public method, its caller learns that something failed and what to do, and no more."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import aiohttp
import grpc
import psycopg
import pytest
from reelgate.internal.keys.v1 import key_service_pb2, key_service_pb2_grpc

from services.common.auth.key_client import KeyClient
from services.common.errors import OUTAGE_MESSAGE
from services.common.postgres.database import open_pool
from services.common.rpc.client import open_channel
from services.common.rpc.interceptors import errors_mapped, logged
from services.common.rpc.server import Port, serve
from services.jobs.clients import LedgerClient, PriceClient
from services.jobs.domain.requests import Owner
from tests.conftest import free_port
from tests.patience import PATIENCE_SECONDS
from tests.unit.common.test_public_messages import FORBIDDEN

SERVICE = "reelgate.internal.keys.v1.KeyService"
OWNER = Owner(account_id="acct_1", environment="live", contract="seedancee2")
Failing = Callable[[], Awaitable[object]]


async def _billing_is_down(use: Callable[[grpc.aio.Channel], Awaitable[object]]) -> None:
    async with open_channel(f"127.0.0.1:{free_port()}") as channel:
        await use(channel)


async def _billing_fails(use: Callable[[grpc.aio.Channel], Awaitable[object]], code: grpc.StatusCode) -> None:
    async def fail(_request: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        await context.abort(code, "RuntimeError at ipv4:10.0.0.7:7102 in billing")
        raise AssertionError

    class Anything(grpc.GenericRpcHandler):  # type: ignore[type-arg]
        def service(self, _details: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(fail)

    server = grpc.aio.server(handlers=[Anything()])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with open_channel(f"127.0.0.1:{port}") as channel:
            await use(channel)
    finally:
        await server.stop(None)


async def _database_is_down() -> None:
    url = f"postgresql://nobody:secret@127.0.0.1:{free_port()}/jobs"
    async with open_pool(url, name="test", connections_max=1) as pool, pool.connection(timeout=0.2):
        raise AssertionError


async def _database_refuses() -> None:
    raise psycopg.errors.UndefinedTable('relation "billing.holds" does not exist')


async def _database_only_reads() -> None:
    raise psycopg.errors.ReadOnlySqlTransaction("cannot execute INSERT in a read-only transaction")


async def _provider_is_down() -> None:
    async with aiohttp.ClientSession() as session:
        await session.get(f"http://127.0.0.1:{free_port()}/api/v3/contents/generations/tasks")


async def _takes_too_long() -> None:
    async with asyncio.timeout(0):
        await asyncio.sleep(1)


async def _is_wrong() -> None:
    raise RuntimeError("services.jobs.clients.LedgerClient at 127.0.0.1:7102")


async def _look_up(channel: grpc.aio.Channel) -> object:
    return await KeyClient(channel).look_up(bytes(32))


async def _hold(channel: grpc.aio.Channel) -> None:
    await LedgerClient(channel).hold("vid_1", owner=OWNER, key_id="key_1", amount_micros=1)


async def _available(channel: grpc.aio.Channel) -> object:
    return await LedgerClient(channel).available(OWNER)


async def _prices(channel: grpc.aio.Channel) -> object:
    return await PriceClient(channel).fetch()


USES = (_look_up, _hold, _available, _prices)
FAILURES: dict[str, Failing] = {
    **{f"billing down {use.__name__}": partial(_billing_is_down, use) for use in USES},
    **{
        f"billing fails {use.__name__} {code.name}": partial(_billing_fails, use, code)
        for use in USES
        for code in (grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    },
    "database down": _database_is_down,
    "database refuses": _database_refuses,
    "database only reads": _database_only_reads,
    "provider down": _provider_is_down,
    "timeout": _takes_too_long,
    "bug": _is_wrong,
}


class Servicer(key_service_pb2_grpc.KeyServiceServicer):
    """Fails as the test says."""

    def __init__(self) -> None:
        self.fail: Failing = _is_wrong

    async def LookUpKey(  # noqa: N802  the name of the proto
        self, _request: key_service_pb2.LookUpKeyRequest, _context: Any
    ) -> key_service_pb2.LookUpKeyResponse:
        await self.fail()
        raise AssertionError


@pytest.fixture
def servicer() -> Servicer:
    return Servicer()


@pytest.fixture
async def stranger(servicer: Servicer) -> AsyncIterator[key_service_pb2_grpc.KeyServiceStub]:
    port = Port(
        address="127.0.0.1:0",
        services=((SERVICE, partial(key_service_pb2_grpc.add_KeyServiceServicer_to_server, servicer)),),
        middleware=(logged, errors_mapped),
    )
    async with serve(port) as [address], grpc.aio.insecure_channel(address) as channel:
        yield key_service_pb2_grpc.KeyServiceStub(channel)


@pytest.mark.parametrize("fail", FAILURES.values(), ids=FAILURES)
async def test_a_failure_behind_a_method_is_told_in_one_of_three_sentences(
    servicer: Servicer, stranger: Any, fail: Failing, caplog: pytest.LogCaptureFixture
) -> None:
    servicer.fail = fail

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stranger.LookUpKey(key_service_pb2.LookUpKeyRequest(), timeout=PATIENCE_SECONDS)

    assert caught.value.details() in OUTAGE_MESSAGE.values()
    trailers: Any = caught.value.trailing_metadata()
    sent = [value if isinstance(value, str) else value.decode(errors="replace") for _, value in trailers]
    assert [value for value in sent if FORBIDDEN.search(value)] == []
    assert caplog.text, "operators learn of it"


async def test_a_database_that_only_reads_is_an_outage_to_the_caller(
    servicer: Servicer, stranger: Any
) -> None:
    servicer.fail = _database_only_reads

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stranger.LookUpKey(key_service_pb2.LookUpKeyRequest(), timeout=PATIENCE_SECONDS)

    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
