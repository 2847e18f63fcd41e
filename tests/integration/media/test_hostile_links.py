"""Result links that a hostile or hacked provider could give, and bodies that unpack to far more than was sent."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.egress.policy import Address, UrlPolicy
from services.common.egress.session import open_egress_session
from services.common.egress.sockets import LookUp
from services.common.egress.urls import origin_of, parse_origins
from services.media.errors import MediaError, MediaGoneError, MediaRejectedError
from services.media.fetch import fetched
from services.media.limits import MediaLimits
from services.upstream.provider import UnreachableError
from services.upstream.providers.ark.adapter import ArkProvider
from tests.fakes.ark_server import ArkServer
from tests.fakes.provider_server import Reply
from tests.patience import PATIENCE_SECONDS
from tests.unit.common.egress.hostile_urls import HOSTILE_URLS, PORT

LIMITS = MediaLimits()
UNPACKED = b"\0" * 8_000_000
PRIVATE = (
    "10.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "100.64.0.0/10",
    "::1/128",
    "fc00::/7",
    "64:ff9b::7f00:0/104",
)
FORMS = ("http://{}/x.mp4", "https://{}:443/x.mp4", "http://cdn.example.com/x.mp4")
"""The last is a name that leads to the address."""
PACKED: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress, "br": bytes}


def _answering(*answers: str) -> LookUp:
    turns = list(answers)

    async def look_up(_host: str, _port: int) -> list[str]:
        return [turns.pop(0) if len(turns) > 1 else turns[0]]

    return look_up


@pytest.fixture
async def host() -> AsyncIterator[ArkServer]:
    async with ArkServer() as server:
        yield server


@asynccontextmanager
async def _session(*trusted: str, look_up: LookUp | None = None) -> AsyncIterator[aiohttp.ClientSession]:
    policy = UrlPolicy(origins_trusted=frozenset(map(origin_of, trusted)))
    async with open_egress_session(policy, connections_max=4, look_up=look_up) as session:
        yield session


async def _refusal(url: str, session: aiohttp.ClientSession) -> MediaError:
    with pytest.raises(MediaError) as caught:
        async with fetched(
            url, session=session, limits=replace(LIMITS, fetch_timeout_seconds=PATIENCE_SECONDS)
        ):
            pass
    return caught.value


async def test_no_hostile_link_is_connected_to(host: ArkServer) -> None:
    port = origin_of(host.origin)[1]
    async with _session(look_up=_answering("127.0.0.1")) as session:
        for url in HOSTILE_URLS:
            refusal = await _refusal(url.replace(PORT, f":{port}"), session)
            assert isinstance(refusal, MediaRejectedError), url

    assert host.seen == []


@given(st.one_of(*(st.ip_addresses(network=network) for network in PRIVATE)), st.sampled_from(FORMS))
def test_no_address_of_a_private_network_is_connected_to(address: Address, form: str) -> None:
    async def fetch() -> MediaError:
        async with _session(look_up=_answering(str(address))) as session:
            return await _refusal(form.format(_in_link(address)), session)

    refusal = asyncio.run(fetch())

    assert isinstance(refusal, MediaRejectedError)
    assert str(address) not in refusal.detail


def _in_link(address: Address) -> str:
    return str(address) if address.version == 4 else f"[{address}]"


async def test_a_name_that_changes_its_mind_is_checked_at_every_connection(host: ArkServer) -> None:
    _, port = origin_of(host.origin)
    async with _session(look_up=_answering("127.0.0.1")) as session:
        refusals = [
            await _refusal(f"http://cdn.example.com:{number}/x.mp4", session) for number in (80, port)
        ]

    assert [type(refusal) for refusal in refusals] == [MediaRejectedError] * 2
    assert host.seen == []


async def test_a_trusted_origin_opens_its_own_port_only(host: ArkServer) -> None:
    port = origin_of(host.origin)[1]
    host.will(Reply(status=404), Reply(status=404))
    trusted = f"http://files.internal:{port}"
    async with _session(trusted, look_up=_answering("127.0.0.1")) as session:
        own = await _refusal(f"{trusted}/x.mp4", session)
        neighbour = await _refusal(f"http://files.internal:{port + 1}/x.mp4", session)
        other_name = await _refusal(f"http://other.internal:{port}/x.mp4", session)

    assert isinstance(own, MediaGoneError)
    assert [type(refusal) for refusal in (neighbour, other_name)] == [MediaRejectedError] * 2
    assert [seen.headers["host"] for seen in host.seen] == [f"files.internal:{port}"]


@pytest.mark.parametrize("encoding", PACKED)
@pytest.mark.parametrize("chunked", [False, True])
async def test_an_encoded_result_is_refused_unread(
    host: ArkServer, monkeypatch: pytest.MonkeyPatch, encoding: str, chunked: bool
) -> None:
    written: list[bytes] = []
    monkeypatch.setattr("services.media.fetch._blocks", written.append)
    body = PACKED[encoding](UNPACKED)
    host.will(Reply(body=body, headers={"Content-Encoding": encoding}, chunked=chunked))
    async with _session(host.origin) as session:
        refusal = await _refusal(f"{host.origin}/clip.mp4", session)

    assert isinstance(refusal, MediaRejectedError)
    assert refusal.detail == f"the body is encoded ('{encoding}'); only plain bodies are read"
    assert written == []


@pytest.mark.parametrize("encoding", PACKED)
async def test_an_encoded_answer_of_a_provider_is_not_read(host: ArkServer, encoding: str) -> None:
    reply = Reply(body=PACKED[encoding](UNPACKED), headers={"Content-Encoding": encoding})
    host.will(reply, reply)
    async with _session(host.origin) as session:
        provider = ArkProvider(session=session, base_url=host.base_url, api_key="key")
        with pytest.raises(UnreachableError, match="the answer is compressed"):
            await provider.check("task", timeout_seconds=PATIENCE_SECONDS)
        with pytest.raises(UnreachableError, match="the answer is compressed"):
            await provider.cancel("task", timeout_seconds=PATIENCE_SECONDS)


def test_origins_are_hosts_with_their_ports() -> None:
    listed = parse_origins("http://simulator:8080, https://Files.Example.com/x,")

    assert listed == {("simulator", 8080), ("files.example.com", 443)}
    with pytest.raises(ValueError, match="is not an address"):
        parse_origins("simulator:8080")
