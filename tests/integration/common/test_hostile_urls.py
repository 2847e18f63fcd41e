"""Nothing in the corpus leads to a connection that it must not lead to. Witness: a canary that counts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

import aiohttp
import pytest
from aiohttp import web

from services.common.egress.policy import ForbiddenUrlError, UrlPolicy, parse_networks
from services.common.egress.session import open_egress_session
from tests.integration.common.name_server import open_name_server
from tests.unit.common.egress.hostile_urls import HOSTILE_NAMES, HOSTILE_URLS, OUTSIDE, PORT

ROUNDS = 4
"""How often each name is connected to; more often than the longest of their turns."""
Refused = (ForbiddenUrlError, aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError)


@dataclass(kw_only=True)
class Network:
    """One port: nobody may connect to it on 127.0.0.1 or ::1, everybody may on OUTSIDE."""

    port: int = 0
    canary_count: int = 0
    outside_paths: list[str] = field(default_factory=list)
    redirects: dict[str, tuple[int, str]] = field(default_factory=dict)

    @property
    def policy(self) -> UrlPolicy:
        return UrlPolicy(private_targets_allowed=parse_networks(OUTSIDE), ports=(80, 443, self.port))

    def _sing(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.canary_count += 1
        writer.close()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        self.outside_paths.append(request.path)
        status, location = self.redirects.get(request.path, (200, ""))
        return web.Response(status=status, headers={"Location": location, "Connection": "close"})


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    network = Network()
    async with AsyncExitStack() as stack:
        canary = await stack.enter_async_context(
            await asyncio.start_server(network._sing, "127.0.0.1", network.port)
        )
        network.port = canary.sockets[0].getsockname()[1]
        with suppress(OSError):  # a machine without IPv6 has no other loopback to guard
            await stack.enter_async_context(await asyncio.start_server(network._sing, "::1", network.port))
        runner = web.ServerRunner(web.Server(network._answer))
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, OUTSIDE, network.port).start()
        yield network


@asynccontextmanager
async def _opened(network: Network, policy: UrlPolicy | None = None) -> AsyncIterator[aiohttp.ClientSession]:
    turns = {name: answers for name, (_, answers) in HOSTILE_NAMES.items()}
    async with (
        open_name_server(turns, otherwise=["127.0.0.1", "::1"]) as (_, look_up),
        open_egress_session(policy or network.policy, connections_max=4, look_up=look_up) as session,
    ):
        yield session


async def _was_refused(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.post(url, data=b"{}", headers={"Connection": "close"}, allow_redirects=False):
            return False
    except Refused:
        return True


async def test_no_hostile_url_is_connected_to(network: Network) -> None:
    async with _opened(network) as session:
        let_through = {
            url: reason
            for url, reason in HOSTILE_URLS.items()
            if not await _was_refused(session, url.replace(PORT, f":{network.port}"))
        }

    assert let_through == {}
    assert (network.canary_count, network.outside_paths) == (0, [])


async def test_no_hostile_name_is_connected_to_however_often_its_server_changes_its_mind(
    network: Network,
) -> None:
    async with _opened(network) as session:
        refused = {
            name: [await _was_refused(session, f"http://{name}:{network.port}/{name}") for _ in range(ROUNDS)]
            for name in HOSTILE_NAMES
        }

    expected = {
        name: [turns[attempt % len(turns)] != (OUTSIDE,) for attempt in range(ROUNDS)]
        for name, (_, turns) in HOSTILE_NAMES.items()
    }
    assert refused == expected
    assert network.canary_count == 0
    assert len(network.outside_paths) == sum(attempts.count(False) for attempts in refused.values())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(network: Network, status: int) -> None:
    inside = f"127.0.0.1:{network.port}"
    targets = [f"http://{inside}/", f"//{inside}/", f"http://loopback.test.com:{network.port}/", "/elsewhere"]
    network.redirects = {f"/{index}": (status, target) for index, target in enumerate(targets)}
    outside = f"http://{OUTSIDE}:{network.port}"
    async with _opened(network) as session:
        for path in network.redirects:
            with pytest.raises(ForbiddenUrlError, match="must not redirect"):
                await session.get(outside + path)
            async with session.get(outside + path, allow_redirects=False) as response:
                assert response.status == status

    assert network.canary_count == 0
    assert network.outside_paths == [path for path in network.redirects for _ in range(2)]


async def test_no_proxy_of_the_environment_is_used(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{network.port}")
    async with _opened(network) as session, session.get(f"http://{OUTSIDE}:{network.port}/") as response:
        status = response.status

    assert (status, network.canary_count) == (200, 0)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::ffff:127.0.0.1]", "loopback.test.com", "mapped.test.com"])
async def test_the_canary_sings_once_its_address_is_opened(network: Network, host: str) -> None:
    policy = replace(network.policy, private_targets_allowed=parse_networks("127.0.0.0/8"))
    async with _opened(network, policy) as session:
        with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientConnectionResetError)):
            await session.get(f"http://{host}:{network.port}/")

    assert network.canary_count >= 1
