"""No client of ours sends anything twice by itself. Witness: a server that counts, and never answers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing, suppress
from functools import partial

import aiohttp
import pytest

from services.common.egress.policy import UrlPolicy, parse_networks
from services.common.egress.session import open_egress_session
from services.common.egress.urls import outgoing_url
from services.common.errors import ServiceError
from services.common.rpc import client
from services.common.rpc.client import SENT_AGAIN_MAX, open_channel
from services.upstream.provider import UnknownError
from services.upstream.providers.ark.adapter import ArkProvider
from tests.contract.test_provider_ark import ORDER
from tests.integration.common.raw_receiver import After, RawReceiver, Reply, open_raw_receiver
from tests.patience import PATIENCE_SECONDS

LOOPBACK = UrlPolicy(private_targets_allowed=parse_networks("127.0.0.0/8"))
CLOSED = Reply(sent=b"", after=After.CLOSE)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS, RST_STREAM, SETTINGS, GOAWAY = 1, 3, 4, 7
CANCEL = 8


@asynccontextmanager
async def _opened() -> AsyncIterator[tuple[RawReceiver, aiohttp.ClientSession]]:
    async with open_raw_receiver() as receiver, open_egress_session(LOOPBACK, connections_max=4) as session:
        yield receiver, session


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "POST"])
@pytest.mark.parametrize("is_kept", [False, True])
async def test_a_connection_that_is_closed_instead_of_an_answer(method: str, *, is_kept: bool) -> None:
    async with _opened() as (receiver, session):
        if is_kept:
            async with session.get(outgoing_url(receiver.origin)) as response:
                await response.read()
        before = len(receiver.requests)
        receiver.reply_to = lambda _request: CLOSED
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await session.request(method, outgoing_url(receiver.origin))

    assert len(receiver.requests) - before == 1
    assert receiver.connection_count == 1


async def test_an_order_is_sent_to_a_provider_once() -> None:
    async with _opened() as (receiver, session):
        receiver.reply_to = lambda _request: CLOSED
        provider = ArkProvider(session=session, base_url=receiver.origin, api_key="key")
        with pytest.raises(UnknownError, match="the connection was closed without an answer"):
            await provider.submit(ORDER, correlation_id="c", callback_url=None, timeout_seconds=30)

    assert len(receiver.requests) == 1


def _frame(kind: int, *, stream: int = 0, flags: int = 0, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


@asynccontextmanager
async def _opened_calls(
    *answers: Callable[[int], bytes],
) -> AsyncIterator[tuple[list[int], Callable[[], Awaitable[object]]]]:
    """Yields the streams of calls that a server saw, and what calls it. It gives each an answer, and goes then."""
    calls: list[int] = []
    writers: list[asyncio.StreamWriter] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with closing(writer), suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readexactly(len(PREFACE))
            writer.write(_frame(SETTINGS))
            while True:
                head = await reader.readexactly(9)
                await reader.readexactly(int.from_bytes(head[:3], "big"))
                stream = int.from_bytes(head[5:], "big")
                if head[3] == SETTINGS and not head[4]:
                    writer.write(_frame(SETTINGS, flags=1))
                if head[3] == HEADERS:
                    calls.append(stream)
                    for answer in answers:
                        writer.write(answer(stream))
                    break

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with open_channel(f"127.0.0.1:{port}", timeout_seconds=PATIENCE_SECONDS) as channel:
            yield calls, partial(channel.unary_unary("/a.B/C", lambda text: text, lambda text: text), b"")
        server.close()
        for writer in writers:
            writer.close()
            await writer.wait_closed()


def _goaway(last_stream: int) -> bytes:
    return _frame(GOAWAY, payload=last_stream.to_bytes(4, "big") + bytes(4))


def _cancelled(stream: int) -> bytes:
    return _frame(RST_STREAM, stream=stream, payload=CANCEL.to_bytes(4, "big"))


def _no_answer(_stream: int) -> bytes:
    return b""


@pytest.mark.parametrize("answer", [_no_answer, _goaway], ids=["closed", "closed with a farewell"])
async def test_a_call_between_services_that_may_have_been_begun_is_made_once(
    answer: Callable[[int], bytes],
) -> None:
    async with _opened_calls(answer) as (calls, call):
        with pytest.raises(ServiceError):
            await call()

    assert len(calls) == 1


async def test_a_call_that_the_server_says_it_has_not_seen_is_made_once_more() -> None:
    async with _opened_calls(lambda _stream: _goaway(0)) as (calls, call):
        with pytest.raises(ServiceError):
            await call()

    assert len(calls) == 2


async def test_a_call_that_came_too_late_for_a_stopping_server_is_made_again() -> None:
    async with _opened_calls(_cancelled, _goaway) as (calls, call):
        with pytest.raises(ServiceError):
            await call()

    assert len(calls) == 1 + SENT_AGAIN_MAX


async def test_a_call_that_is_cancelled_when_a_server_has_drained_is_made_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "DRAIN_SECONDS", 0.0)

    async with _opened_calls(_cancelled, _goaway) as (calls, call):
        with pytest.raises(ServiceError):
            await call()

    assert len(calls) == 1
