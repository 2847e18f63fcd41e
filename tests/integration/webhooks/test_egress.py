import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import cycle

import aiohttp
import pytest
from aiohttp import web

from services.common.egress import (
    ForbiddenUrlError,
    LookUp,
    UrlPolicy,
    open_egress_session,
    parse_networks,
)
from tests.integration.webhooks.receiver import Receiver

LOOPBACK_TOO = UrlPolicy(private_targets_allowed=parse_networks("127.0.0.0/8,::1/128"))


class Canary:
    """Listens where nobody may connect to, and counts who does."""

    def __init__(self) -> None:
        self.connection_count = 0
        self.port = 0

    def _connected(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connection_count += 1
        writer.close()


@pytest.fixture
async def canary() -> AsyncIterator[Canary]:
    canary = Canary()
    server = await asyncio.start_server(canary._connected, "127.0.0.1", 0)
    canary.port = server.sockets[0].getsockname()[1]
    async with server:
        yield canary


def _answering(*turns: list[str]) -> LookUp:
    left: Iterator[list[str]] = cycle(turns)

    async def look_up(_host: str, _port: int) -> list[str]:
        return next(left)

    return look_up


@asynccontextmanager
async def _session(policy: UrlPolicy, look_up: LookUp | None = None) -> AsyncIterator[aiohttp.ClientSession]:
    async with open_egress_session(policy, connections_max=4, look_up=look_up) as session:
        yield session


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0.0.0.0",  # noqa: S104  an address to refuse
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "localhost",
        "user@127.0.0.1",
        "127。0。0。1",
    ],
)
async def test_no_form_of_a_private_address_is_connected_to(canary: Canary, host: str) -> None:
    policy = UrlPolicy(ports=(canary.port,))
    async with _session(policy) as session:
        with pytest.raises((ForbiddenUrlError, aiohttp.InvalidURL)):
            await session.get(f"http://{host}:{canary.port}/")

    assert canary.connection_count == 0


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["::ffff:127.0.0.1"],
        ["8.8.8.8", "127.0.0.1"],
        ["169.254.169.254"],
        ["2002:7f00:1::"],
    ],
)
async def test_a_name_is_refused_if_any_of_its_addresses_is(canary: Canary, addresses: list[str]) -> None:
    policy = UrlPolicy(ports=(canary.port,))
    async with _session(policy, _answering(addresses)) as session:
        with pytest.raises(ForbiddenUrlError, match="private"):
            await session.get(f"http://example.com:{canary.port}/")

    assert canary.connection_count == 0


async def test_a_name_with_one_private_address_is_not_connected_to_at_all(canary: Canary) -> None:
    policy = UrlPolicy(private_targets_allowed=parse_networks("127.0.0.2/32"), ports=(canary.port,))
    async with (
        _listening("127.0.0.2", canary.port) as listener,
        _session(policy, _answering(["127.0.0.2", "127.0.0.1"])) as session,
    ):
        with pytest.raises(ForbiddenUrlError, match="private"):
            await session.get(f"http://example.com:{canary.port}/")

    assert listener == []
    assert canary.connection_count == 0


async def test_a_name_that_turns_private_is_refused_from_then_on(canary: Canary) -> None:
    # The one opened address stands for the public internet; the canary's is not opened.
    policy = UrlPolicy(private_targets_allowed=parse_networks("127.0.0.2/32"), ports=(canary.port,))
    url = f"http://example.com:{canary.port}/"
    async with (
        _listening("127.0.0.2", canary.port) as first_listener,
        _session(policy, _answering(["127.0.0.2"], ["127.0.0.1"])) as session,
    ):
        async with session.get(url, headers={"Connection": "close"}) as response:
            first = response.status
        with pytest.raises(ForbiddenUrlError, match="private"):
            await session.get(url)
        async with session.get(url, headers={"Connection": "close"}) as response:
            third = response.status

    assert (first, third) == (200, 200)
    assert first_listener == ["GET", "GET"]
    assert canary.connection_count == 0


async def test_what_was_checked_is_what_is_connected_to(receiver: Receiver) -> None:
    port = int(receiver.url.rpartition(":")[2])
    asked: list[str] = []

    async def look_up(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    async with (
        _session(LOOPBACK_TOO, look_up) as session,
        session.get(f"http://hooks.internal:{port}/x") as response,
    ):
        status = response.status

    assert status == 200
    assert asked == ["hooks.internal"]
    assert receiver.received[0].headers["Host"] == f"hooks.internal:{port}"


async def test_a_public_name_on_an_unusual_port_is_refused(canary: Canary) -> None:
    async with _session(UrlPolicy(), _answering(["8.8.8.8"])) as session:
        with pytest.raises(ForbiddenUrlError, match="must use port 80 or 443"):
            await session.get(f"http://example.com:{canary.port}/")

    assert canary.connection_count == 0


async def test_a_redirect_is_an_error_even_for_who_forgot_to_forbid_it(
    receiver: Receiver, canary: Canary
) -> None:
    async def redirect(_request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": f"http://127.0.0.1:{canary.port}/"})

    receiver.answers["/away"] = redirect
    async with _session(LOOPBACK_TOO) as session:
        with pytest.raises(ForbiddenUrlError, match="must not redirect"):
            await session.post(receiver.url + "/away", data=b"{}")
        async with session.post(receiver.url + "/away", data=b"{}", allow_redirects=False) as response:
            status = response.status

    assert status == 307
    assert canary.connection_count == 0


async def test_a_look_up_that_hangs_is_a_temporary_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    async def look_up(_host: str, _port: int) -> list[str]:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr("services.common.egress.DNS_TIMEOUT_SECONDS", 0.05)
    async with _session(UrlPolicy(), look_up) as session:
        with pytest.raises(aiohttp.ClientConnectorDNSError) as caught:
            await session.get("http://example.com/")

    assert caught.value.errno == socket.EAI_AGAIN


async def test_nothing_of_one_receiver_reaches_another(receiver: Receiver) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=b"\x1f\x8b", headers={"Set-Cookie": "a=b", "Content-Encoding": "gzip"})

    receiver.answers["/cookie"] = answer
    url = receiver.url.replace("127.0.0.1", "hooks.example.localhost") + "/cookie"
    async with _session(LOOPBACK_TOO, _answering(["127.0.0.1"])) as session:
        async with session.get(url) as response:
            body = await response.read()
        async with session.get(url):
            pass

    assert body == b"\x1f\x8b"
    assert "Cookie" not in receiver.received[1].headers
    assert "Accept-Encoding" not in receiver.received[0].headers


@asynccontextmanager
async def _listening(host: str, port: int) -> AsyncIterator[list[str]]:
    seen: list[str] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        seen.append(request.method)
        return web.Response()

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield seen
    finally:
        await runner.cleanup()
