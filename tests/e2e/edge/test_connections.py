"""Connections cost memory before anybody has asked for anything: they end when silent, and each address has its share."""

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from services.edge.connections import HEAP
from services.edge.extension import Config, typed
from tests.e2e.edge.client import assert_failed, send, wait_for_status
from tests.e2e.edge_process import RunningEdge, running_edge

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOWHERE = "127.0.0.1:1"
HTTP_2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
MOST = 5
END_SECONDS_MAX = 240
"""Less than the five minutes after which Envoy itself ends what is silent."""
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def small_edge(**settings: Any) -> AbstractAsyncContextManager[RunningEdge]:
    return running_edge(jobs_targets=NOWHERE, billing_targets=NOWHERE, ready_path="/healthz", **settings)


async def connected(edge: RunningEdge, address: str = "127.0.0.1") -> Connection:
    host, _, port = edge.address.rpartition(":")
    return await asyncio.open_connection(host, int(port), local_addr=(address, 0))


@asynccontextmanager
async def holding(
    edge: RunningEdge, count: int, address: str = "127.0.0.1"
) -> AsyncIterator[list[Connection]]:
    held = [await connected(edge, address) for _ in range(count)]
    try:
        yield held
    finally:
        drop(held)


def drop(held: list[Connection]) -> None:
    for _, writer in held:
        writer.transport.abort()


async def answers(connection: Connection) -> bool:
    """Whether the edge answers on this connection. False: it has closed it."""
    reader, writer = connection
    try:
        writer.write(b"GET /healthz HTTP/1.1\r\nhost: edge\r\n\r\n")
        async with asyncio.timeout(END_SECONDS_MAX):
            return (await reader.readuntil(b"ok\n")).startswith(b"HTTP/1.1 200")
    except (ConnectionError, asyncio.IncompleteReadError):
        return False


async def ended(connection: Connection) -> None:
    """Returns once the edge has closed it. Raises TimeoutError."""
    async with asyncio.timeout(END_SECONDS_MAX):
        with suppress(ConnectionError):
            while await connection[0].read(1024):
                pass


@asynccontextmanager
async def served(edge: RunningEdge, count: int, address: str) -> AsyncIterator[list[Connection]]:
    """Holds `count` connections that are answered, as soon as the edge has seen earlier ones end. Raises TimeoutError."""
    async with asyncio.timeout(END_SECONDS_MAX):
        held = [await connected(edge, address) for _ in range(count)]
        while not all([await answers(each) for each in held]):
            drop(held)
            await asyncio.sleep(0.02)
            held = [await connected(edge, address) for _ in range(count)]
    try:
        yield held
    finally:
        drop(held)


async def test_a_connection_without_a_request_ends() -> None:
    async with small_edge(idle_seconds=1) as edge, holding(edge, 20) as silent:
        silent[0][1].write(HTTP_2)
        assert await answers(silent[1])

        for connection in silent:
            await ended(connection)

        assert (await send(edge, "GET", "/healthz")).status == 200


async def test_who_is_one_too_many_is_closed_and_other_addresses_get_in() -> None:
    async with (
        small_edge(connections_per_address=MOST, idle_seconds=600) as edge,
        served(edge, MOST, "127.0.0.2") as held,
        holding(edge, 1, "127.0.0.2") as [extra],
        holding(edge, MOST, "127.0.0.3") as others,
    ):
        await ended(extra)
        assert [await answers(each) for each in (*others, *held)] == [True] * 2 * MOST


@pytest.mark.parametrize("way", ["closes", "resets", "asks", "speaks HTTP/2", "is half closed"])
async def test_a_place_comes_back_however_its_connection_ends(way: str) -> None:
    async with small_edge(connections_per_address=MOST, idle_seconds=1) as edge:
        for _ in range(20):
            async with holding(edge, 2 * MOST, "127.0.0.2") as held:
                for connection in held:
                    await _end(connection, way)

        async with served(edge, MOST, "127.0.0.2"), holding(edge, 1, "127.0.0.2") as [extra]:
            await ended(extra)


async def _end(connection: Connection, way: str) -> None:
    _, writer = connection
    if way == "resets":
        at_once = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
    elif way == "asks":
        await answers(connection)
    elif way == "speaks HTTP/2":
        writer.write(HTTP_2)
    elif way == "is half closed" and not writer.transport.is_closing():
        with suppress(OSError):
            writer.write_eof()


async def test_without_a_limit_one_address_may_hold_what_all_may() -> None:
    async with (
        small_edge(connections_per_address=0, connections_max=2 * MOST, idle_seconds=600) as edge,
        served(edge, 2 * MOST, "127.0.0.2"),
        holding(edge, 1, "127.0.0.3") as [extra],
    ):
        await ended(extra)
        admin = f"http://{edge.settings.admin_address}/ready"
        async with aiohttp.ClientSession() as client, client.get(admin) as ready:
            assert ready.status == 200


async def test_requests_are_shed_before_memory_ends(tmp_path: Path) -> None:
    pressure = tmp_path / "pressure"

    def under(value: str) -> None:
        written = tmp_path / "written"
        written.write_text(value)
        os.replace(written, pressure)  # noqa: PTH105 - Envoy sees a move, not a write

    def pretend(config: Config) -> None:
        monitors = config["overload_manager"]["resource_monitors"]
        heap = next(monitor for monitor in monitors if monitor["name"] == HEAP)
        heap["typed_config"] = typed(
            "extensions.resource_monitors.injected_resource.v3.InjectedResourceConfig",
            filename=str(pressure),
        )

    under("0.5")
    async with small_edge(change=pretend) as edge:
        under("0.96")
        await wait_for_status(edge, "/healthz", 503)
        assert_failed(await send(edge, "GET", "/healthz"), 503)

        under("0.5")
        await wait_for_status(edge, "/healthz", 200)
