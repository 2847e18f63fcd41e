"""Whose address the flood guard and the limit of connections count, behind a balancer and without one."""

import asyncio
import struct
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from tests.e2e.edge.client import send
from tests.e2e.edge_process import RunningEdge, running_edge
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOWHERE = "127.0.0.1:1"
FLOOD = 40
REQUEST = b"GET /v1/nothing HTTP/1.1\r\nhost: edge\r\n\r\n"


def narrow_edge(**settings: Any) -> AbstractAsyncContextManager[RunningEdge]:
    return running_edge(
        jobs_targets=NOWHERE,
        billing_targets=NOWHERE,
        ready_path="/healthz",
        calls_per_second_per_address=1,
        **settings,
    )


async def flood(edge: RunningEdge, forwarded_for: Sequence[str]) -> list[int]:
    """Sends one request with each X-Forwarded-For at once and returns their statuses."""
    answers = await asyncio.gather(
        *(send(edge, "GET", "/v1/nothing", headers=[f"x-forwarded-for: {each}"]) for each in forwarded_for)
    )
    return [answer.status for answer in answers]


async def test_without_a_trusted_hop_a_forged_address_does_not_count() -> None:
    async with narrow_edge() as edge:
        statuses = await flood(edge, [f"10.0.0.{number}" for number in range(FLOOD)])

    assert 429 in statuses


async def test_the_address_that_a_trusted_hop_tells_counts() -> None:
    async with narrow_edge(trusted_hops=1) as edge:
        one = await flood(edge, ["10.0.0.1"] * FLOOD)
        many = await flood(edge, [f"10.0.1.{number}" for number in range(FLOOD)])

    assert 429 in one
    assert set(many) == {404}


async def test_what_a_client_writes_before_the_trusted_hop_does_not_count() -> None:
    async with narrow_edge(trusted_hops=1) as edge:
        statuses = await flood(edge, [f"10.0.2.{number}, 10.0.0.1" for number in range(FLOOD)])

    assert 429 in statuses


async def test_of_two_trusted_hops_the_first_tells_the_address() -> None:
    async with narrow_edge(trusted_hops=2) as edge:
        many = await flood(edge, [f"10.9.9.9, 10.0.1.{number}, 10.0.0.1" for number in range(FLOOD)])
        one = await flood(edge, [f"10.0.2.{number}, 10.0.0.2, 10.0.0.1" for number in range(FLOOD)])

    assert set(many) == {404}
    assert 429 in one


def version_1(address: str) -> bytes:
    return f"PROXY TCP4 {address} 10.255.0.1 4711 443\r\n".encode()


def version_2(address: str) -> bytes:
    ends = bytes(map(int, address.split("."))) + bytes([10, 255, 0, 1]) + struct.pack(">HH", 4711, 443)
    return b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack(">H", len(ends)) + ends


async def first_line(edge: RunningEdge, sent: bytes) -> bytes:
    """Returns the first line of what comes back, nothing when the edge only closes the connection."""
    host, _, port = edge.address.rpartition(":")
    async with asyncio.timeout(PATIENCE_SECONDS):
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(sent)
            return await reader.readline()
        except ConnectionError:
            return b""
        finally:
            writer.transport.abort()


@pytest.mark.parametrize("header", [version_1, version_2])
async def test_proxy_protocol_tells_the_address(header: Callable[[str], bytes]) -> None:
    async with narrow_edge(proxy_protocol=True) as edge:
        one = await asyncio.gather(*(first_line(edge, header("10.0.0.1") + REQUEST) for _ in range(FLOOD)))
        many = await asyncio.gather(
            *(first_line(edge, header(f"10.0.1.{number}") + REQUEST) for number in range(FLOOD))
        )

    assert any(b" 429 " in line for line in one)
    assert {line.split()[1] for line in many} == {b"404"}


async def test_without_the_header_a_connection_is_closed() -> None:
    async with narrow_edge(proxy_protocol=True) as edge:
        assert await first_line(edge, REQUEST) == b""
        assert await first_line(edge, b"") == b""


async def test_connections_are_counted_by_the_address_that_proxy_protocol_tells() -> None:
    async with narrow_edge(proxy_protocol=True, connections_per_address=1, idle_seconds=600) as edge:
        host, _, port = edge.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(version_1("10.0.0.1") + REQUEST)
        assert b" 404 " in await reader.readline()

        assert await first_line(edge, version_1("10.0.0.1") + REQUEST) == b""
        assert b" 404 " in await first_line(edge, version_1("10.0.0.2") + REQUEST)
        writer.transport.abort()


async def test_connections_of_a_trusted_proxy_are_not_limited_as_one_clients() -> None:
    async with narrow_edge(trusted_hops=1, connections_per_address=1, idle_seconds=600) as edge:
        host, _, port = edge.address.rpartition(":")
        held = [await asyncio.open_connection(host, int(port)) for _ in range(5)]
        for number, (_, writer) in enumerate(held):
            writer.write(REQUEST.replace(b"host: edge", b"host: edge\r\nx-forwarded-for: 10.0.0.%d" % number))
        lines = [await reader.readline() for reader, _ in held]
        for _, writer in held:
            writer.transport.abort()

    assert {line.split()[1] for line in lines} == {b"404"}
