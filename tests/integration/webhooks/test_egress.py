import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from services.common.egress.policy import ForbiddenUrlError, UrlPolicy, parse_networks
from services.common.egress.session import open_egress_session
from services.common.egress.sockets import LookUp
from tests.integration.webhooks.receiver import Receiver

LOOPBACK_TOO = UrlPolicy(private_targets_allowed=parse_networks("127.0.0.0/8,::1/128"))


def _answering(address: str) -> LookUp:
    async def look_up(_host: str, _port: int) -> list[str]:
        return [address]

    return look_up


@asynccontextmanager
async def _session(policy: UrlPolicy, look_up: LookUp | None = None) -> AsyncIterator[aiohttp.ClientSession]:
    async with open_egress_session(policy, connections_max=4, look_up=look_up, reads_encoded=True) as session:
        yield session


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


async def test_a_public_name_on_an_unusual_port_is_refused() -> None:
    async with _session(UrlPolicy(), _answering("8.8.8.8")) as session:
        with pytest.raises(ForbiddenUrlError, match="must use port 80 or 443"):
            await session.get("http://example.com:8080/")


async def test_a_look_up_that_hangs_is_a_temporary_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    async def look_up(_host: str, _port: int) -> list[str]:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr("services.common.egress.sockets.DNS_TIMEOUT_SECONDS", 0.05)
    async with _session(UrlPolicy(), look_up) as session:
        with pytest.raises(aiohttp.ClientConnectorDNSError) as caught:
            await session.get("http://example.com/")

    assert caught.value.errno == socket.EAI_AGAIN


async def test_nothing_of_one_receiver_reaches_another(receiver: Receiver) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=b"\x1f\x8b", headers={"Set-Cookie": "a=b", "Content-Encoding": "gzip"})

    receiver.answers["/cookie"] = answer
    url = receiver.url.replace("127.0.0.1", "hooks.example.localhost") + "/cookie"
    async with _session(LOOPBACK_TOO, _answering("127.0.0.1")) as session:
        async with session.get(url) as response:
            body = await response.read()
        async with session.get(url):
            pass

    assert body == b"\x1f\x8b"
    assert "Cookie" not in receiver.received[1].headers
    assert "Accept-Encoding" not in receiver.received[0].headers
