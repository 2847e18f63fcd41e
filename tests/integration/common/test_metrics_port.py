"""The port of the metrics answers one question, is bounded whoever connects, and gives nothing else away."""

import asyncio
from collections.abc import AsyncIterator, Iterable

import pytest
from prometheus_client import CollectorRegistry, Counter, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from services.common.telemetry.exposition import CONNECTIONS_MAX, REQUEST_BYTES_MAX, exposed
from tests.patience import PATIENCE_SECONDS

SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: any\r\nAccept-Encoding: gzip\r\n\r\n"


class Counting(Collector):
    """Counts how often it is collected."""

    def __init__(self) -> None:
        self.collections = 0

    def collect(self) -> Iterable[Metric]:
        self.collections += 1
        return ()


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("reelgate_first_total", "The first.", ["kind"], registry=registry).labels('a "b"\\').inc(3)
    Counter("reelgate_second_total", "The second.", registry=registry)
    return registry


@pytest.fixture
async def address(registry: CollectorRegistry) -> AsyncIterator[str]:
    async with exposed("127.0.0.1:0", registry=registry) as bound:
        yield bound


async def _opened(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = address.rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def _told(address: str, request: bytes) -> tuple[str, str]:
    """Returns the status line and the body, once the other side has closed the connection."""
    reader, writer = await _opened(address)
    writer.write(request)
    async with asyncio.timeout(PATIENCE_SECONDS):
        try:
            answer = await reader.read()
        except ConnectionResetError:
            answer = b""
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.partition(b"\r\n")[0].decode(), body.decode()


async def test_a_scrape_has_every_metric_in_prometheus_own_format(address: str) -> None:
    status, body = await _told(address, SCRAPE)

    families = {family.name: family for family in text_string_to_metric_families(body)}
    assert status == "HTTP/1.1 200 OK"
    assert set(families) == {"reelgate_first", "reelgate_second"}
    [sample] = families["reelgate_first"].samples
    assert (sample.labels, sample.value) == ({"kind": 'a "b"\\'}, 3.0)


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET / HTTP/1.1", "HTTP/1.1 404 Not Found"),
        ("GET /metrics/ HTTP/1.1", "HTTP/1.1 404 Not Found"),
        ("GET /debug/pprof HTTP/1.1", "HTTP/1.1 404 Not Found"),
        ("POST /metrics HTTP/1.1", "HTTP/1.1 405 Method Not Allowed"),
        ("PRI * HTTP/2.0", "HTTP/1.1 404 Not Found"),
        ("nonsense", "HTTP/1.1 404 Not Found"),
        ("GET /metrics?name[]=x HTTP/1.1", "HTTP/1.1 200 OK"),
    ],
)
async def test_there_is_one_path_and_one_method(address: str, request_line: str, status: str) -> None:
    found, _ = await _told(address, request_line.encode() + b"\r\nHost: any\r\n\r\n")

    assert found == status


async def test_a_request_that_is_too_long_is_closed_unanswered(address: str) -> None:
    status, _ = await _told(
        address, b"GET /metrics HTTP/1.1\r\nX: " + bytes(2 * REQUEST_BYTES_MAX) + b"\r\n\r\n"
    )

    assert status == ""


async def test_no_more_than_so_many_connections_are_kept_and_those_that_leave_make_room(address: str) -> None:
    silent = [await _opened(address) for _ in range(CONNECTIONS_MAX)]

    async with asyncio.timeout(PATIENCE_SECONDS):
        # Whoever is accepted is accepted in order, so the first of those above the limit is the ninth.
        while (await _told(address, SCRAPE))[0]:
            pass
        for _, writer in silent:
            writer.close()
        while not (await _told(address, SCRAPE))[0]:
            pass


async def test_scrapes_at_the_same_time_cost_one(registry: CollectorRegistry, address: str) -> None:
    counting = Counting()
    registry.register(counting)
    counting.collections = 0

    answers = await asyncio.gather(*(_told(address, SCRAPE) for _ in range(4)))

    assert {status for status, _ in answers} == {"HTTP/1.1 200 OK"}
    assert counting.collections == 1
