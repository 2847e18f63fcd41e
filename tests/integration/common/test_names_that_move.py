"""Processes behind a name are replaced, added and killed, and their callers find those that are there. Witness: an own name server."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from itertools import count
from typing import Any

import grpc
import pytest
from reelgate.internal.keys.v1 import key_service_pb2, key_service_pb2_grpc

from services.common.errors import ServiceError
from services.common.rpc.client import open_channel
from services.common.rpc.durations import CONNECTION_AGE_SECONDS
from services.common.rpc.internal_port import inner_port
from services.common.rpc.server import serve
from tests.conftest import free_port
from tests.integration.common.name_server import A, NameServer, open_name_server
from tests.patience import PATIENCE_SECONDS

SERVICE = "reelgate.internal.keys.v1.KeyService"
NAME = "billing.test"
REQUEST = key_service_pb2.LookUpKeyRequest(key_sha256=bytes(32))
CALLERS = 8
AGE_SECONDS = 0.5
CALLS = 100


class Servicer(key_service_pb2_grpc.KeyServiceServicer):
    """Says where it serves, after a moment."""

    def __init__(self, place: "Place", host: str) -> None:
        self._place = place
        self._host = host

    async def LookUpKey(  # noqa: N802  the name of the proto
        self, request: key_service_pb2.LookUpKeyRequest, context: Any
    ) -> key_service_pb2.LookUpKeyResponse:
        self._place.begun[self._host] += 1
        await asyncio.sleep(0.001)
        return key_service_pb2.LookUpKeyResponse(account_id=self._host)


class Place:
    """Processes at addresses of their own and one port, and the name that has some of these addresses."""

    def __init__(
        self, server: NameServer, addresses: list[str], channel: grpc.aio.Channel, *, port: int
    ) -> None:
        self.begun = Counter[str]()
        """Calls that processes began, by their address."""
        self.made = Counter[str]()
        """Calls that were answered, by who answered."""
        self.failed: list[ServiceError] = []
        self._server = server
        self._addresses = addresses
        self._stub = key_service_pb2_grpc.KeyServiceStub(channel)
        self._port = port
        self._numbers = count(2)

    def named(self, *hosts: str) -> None:
        """Gives the name these addresses."""
        self._addresses[:] = hosts

    @asynccontextmanager
    async def process(
        self, *, age_seconds: float = CONNECTION_AGE_SECONDS, known_as: str = ""
    ) -> AsyncIterator[str]:
        """Serves at an address of its own, and says that it is there or at the one it is `known_as`. Yields the address."""
        host = f"127.0.0.{next(self._numbers)}"
        servicer = Servicer(self, known_as or host)
        add = partial(key_service_pb2_grpc.add_KeyServiceServicer_to_server, servicer)
        port = inner_port(f"{host}:{self._port}", ((SERVICE, add, ()),), tls=None, reflection=False)
        async with serve(port, connection_age_seconds=age_seconds):
            yield host

    @asynccontextmanager
    async def relayed(self) -> AsyncIterator[tuple[str, Callable[[], None]]]:
        """Serves at an address whose connections can be cut, as when a process is killed. Yields it and what cuts."""
        cut: list[asyncio.WriteTransport] = []
        host = f"127.0.0.{next(self._numbers)}"
        async with self.process(known_as=host) as behind:

            async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                other_reader, other_writer = await asyncio.open_connection(behind, self._port)
                cut.extend((writer.transport, other_writer.transport))
                await asyncio.gather(_pass_on(reader, other_writer), _pass_on(other_reader, writer))

            server = await asyncio.start_server(relay, host, self._port)

            def kill() -> None:
                server.close()
                for transport in cut:
                    transport.abort()

            try:
                yield host, kill
            finally:
                kill()

    async def call(self) -> None:
        """Calls once."""
        try:
            answer = await self._stub.LookUpKey(REQUEST, timeout=PATIENCE_SECONDS)
        except ServiceError as error:
            self.failed.append(error)
        else:
            self.made[answer.account_id] += 1

    async def until(self, happened: Callable[[], bool]) -> None:
        """Calls until something has happened."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not happened():
                await self.call()

    @asynccontextmanager
    async def under_load(self) -> AsyncIterator[None]:
        """Calls all the time until the block ends."""
        ending = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for _ in range(CALLERS):
                group.create_task(self.until(ending.is_set))
            yield
            ending.set()

    async def looked_up(self, times: int) -> None:
        """Returns when the name has been looked up so often."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self._server.query_counts[NAME, A] < times:  # noqa: ASYNC110  the queries ring no bell
                await asyncio.sleep(0.01)

    async def served_by(self, hosts: Iterable[str]) -> None:
        """Returns when each of these processes has answered CALLS more."""
        before = Counter(self.made)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not all(self.made[host] >= before[host] + CALLS for host in hosts):  # noqa: ASYNC110  answers do not either
                await asyncio.sleep(0.01)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    addresses: list[str] = []
    port = free_port()
    async with (
        open_name_server({NAME: [addresses]}, otherwise=()) as (server, _),
        open_channel(f"dns://{server.address}/{NAME}:{port}") as channel,
    ):
        yield Place(server, addresses, channel, port=port)


async def test_no_call_fails_and_none_is_made_twice_while_the_only_process_is_replaced(place: Place) -> None:
    async with AsyncExitStack() as ending:
        old = await ending.enter_async_context(AsyncExitStack())
        host = await old.enter_async_context(place.process())
        place.named(host)
        async with place.under_load():
            await place.served_by([host])
            for _ in range(3):
                new = await ending.enter_async_context(AsyncExitStack())
                host = await new.enter_async_context(place.process())
                place.named(host)
                await old.aclose()
                await place.served_by([host])
                old = new

    assert place.failed == []
    assert place.begun == place.made
    assert len(place.made) == 4


async def test_no_call_fails_and_none_is_made_twice_when_connections_reach_their_age(place: Place) -> None:
    async with place.process(age_seconds=AGE_SECONDS) as host:
        place.named(host)
        async with place.under_load():
            await place.looked_up(4)

    assert place.failed == []
    assert place.begun == place.made


async def test_a_process_that_is_added_is_called_once_a_connection_has_reached_its_age(place: Place) -> None:
    async with place.process(age_seconds=AGE_SECONDS) as first:
        place.named(first)
        async with place.process() as second, place.under_load():
            await place.served_by([first])
            place.named(first, second)
            await place.served_by([second])

    assert place.failed == []


async def test_two_processes_get_equal_shares(place: Place) -> None:
    async with place.process() as first, place.process() as second:
        place.named(first, second)
        await place.until(lambda: place.made.keys() == {first, second})
        place.made.clear()
        for _ in range(200):
            await place.call()

    assert place.failed == []
    assert 90 <= place.made[first] <= 110


async def test_of_a_killed_process_only_what_it_had_begun_fails(place: Place) -> None:
    async with place.process() as first, place.relayed() as (second, kill):
        place.named(first, second)
        async with place.under_load():
            await place.served_by([first, second])
            kill()
            await place.served_by([first])
            await place.served_by([first])

    assert len(place.failed) <= CALLERS
    # Without an answer nobody knows whether it was done, so it is not sent again.
    assert place.begun.total() <= place.made.total() + len(place.failed)
