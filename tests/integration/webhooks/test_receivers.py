import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from services.common.clock import utc_now
from services.common.egress.policy import UrlPolicy, parse_networks
from services.common.egress.sockets import LookUp
from services.webhooks.clients import ANSWER_BYTES_MAX, HttpReceivers, open_receivers
from services.webhooks.domain import EXCERPT_BYTES_MAX, Answer, NoAnswer
from tests.conftest import free_port
from tests.integration.webhooks.receiver import Receiver

TIMEOUT_SECONDS = 0.3
LOOPBACK = UrlPolicy(private_targets_allowed=parse_networks("127.0.0.0/8"))
BODY = b'{"data":{}}'


@asynccontextmanager
async def _receivers(look_up: LookUp | None = None) -> AsyncIterator[HttpReceivers]:
    async with open_receivers(
        LOOPBACK, clock=utc_now, connections_max=4, look_up=look_up, timeout_seconds=TIMEOUT_SECONDS
    ) as receivers:
        yield receivers


async def _post(url: str, look_up: LookUp | None = None) -> Answer | NoAnswer:
    async with _receivers(look_up) as receivers:
        return await receivers.post(url, headers={"webhook-id": "vid_1-1"}, body=BODY)


@pytest.mark.parametrize("status", [200, 302, 404, 410, 500])
async def test_an_answer_is_kept_with_the_first_of_its_body(receiver: Receiver, status: int) -> None:
    receiver.answer_with("/hook", status)

    result = await _post(receiver.url + "/hook")

    assert result == Answer(status=status, excerpt=("said " * 1_000).encode()[:EXCERPT_BYTES_MAX])
    assert receiver.received[0].body == BODY


async def test_a_receiver_that_never_answers_is_given_up(receiver: Receiver) -> None:
    receiver.hold("/hook")

    result = await _post(receiver.url + "/hook")

    assert result == NoAnswer(error="no answer within 0.3 seconds", is_ours=False)


async def test_an_endless_answer_is_read_to_the_limit_only(receiver: Receiver) -> None:
    sent = 0

    async def flood(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b"x" * 16_384)
                sent += 16_384
        return response

    receiver.answers["/hook"] = flood

    result = await _post(receiver.url + "/hook")

    assert result == Answer(status=200, excerpt=b"x" * EXCERPT_BYTES_MAX)
    # The rest filled the buffers of the sockets in between, which hold a few MiB on loopback.
    assert ANSWER_BYTES_MAX < sent < 16 * 1024 * 1024


async def test_a_receiver_that_is_not_there_is_at_fault() -> None:
    result = await _post(f"http://127.0.0.1:{free_port()}/hook")

    assert result == NoAnswer(error="connection refused", is_ours=False)


async def test_a_forbidden_address_is_the_receivers_fault() -> None:
    result = await _post("http://169.254.169.254/latest/")

    assert result == NoAnswer(error="the address must not point to a private address", is_ours=False)


async def test_what_is_not_http_is_the_receivers_fault() -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()

    async with await asyncio.start_server(nonsense, "127.0.0.1", 0) as server:
        result = await _post(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")

    assert isinstance(result, NoAnswer)
    assert not result.is_ours


@pytest.mark.parametrize(
    ("fault", "is_ours"),
    [
        (socket.gaierror(socket.EAI_AGAIN, "try again"), True),
        (socket.gaierror(socket.EAI_NONAME, "no such name"), False),
    ],
)
async def test_only_a_temporary_failure_of_look_up_is_ours(fault: OSError, *, is_ours: bool) -> None:
    async def look_up(_host: str, _port: int) -> list[str]:
        raise fault

    result = await _post("http://example.com/hook", look_up)

    assert result == NoAnswer(error="the host name does not resolve", is_ours=is_ours)


async def test_running_out_of_sockets_is_ours() -> None:
    async def look_up(_host: str, _port: int) -> list[str]:
        raise OSError(errno.EMFILE, "too many open files")

    result = await _post("http://example.com/hook", look_up)

    assert isinstance(result, NoAnswer)
    assert result.is_ours
