"""Slow name servers take up no place of others, and their names alone are at fault; unless all are silent."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from services.common.egress.name_servers import NameServers
from services.common.egress.policy import ForbiddenUrlError, UrlPolicy
from services.common.egress.session import open_egress_session
from tests.integration.common.name_server import NameServer, open_name_server

PUBLIC = ("8.8.8.8", "2001:4860:4860::8888")
TURNS: dict[str, Sequence[Sequence[str]]] = {
    "good.example": [PUBLIC],
    "alias.example": [["good.example"]],
    "empty.example": [[]],
    "private.example": [["8.8.8.8", "10.0.0.1"]],
}
LOOK_UPS = 200
SECONDS = 0.3


@asynccontextmanager
async def _opened(*, seconds: float = 60.0) -> AsyncIterator[tuple[NameServer, NameServers]]:
    async with open_name_server(TURNS, otherwise=()) as (server, _):
        asking = NameServers([server.address], timeout_seconds=seconds)
        try:
            yield server, asking
        finally:
            await asking.close()


async def _failure(asking: NameServers, host: str) -> int | None:
    with pytest.raises(socket.gaierror) as caught:
        await asking.look_up(host, 443)
    return caught.value.errno


@pytest.mark.parametrize("host", ["good.example", "good.example.", "alias.example"])
async def test_a_name_has_its_addresses_of_both_kinds(host: str) -> None:
    async with _opened() as (_, asking):
        assert sorted(await asking.look_up(host, 443)) == sorted(PUBLIC)


async def test_a_name_without_addresses_is_none() -> None:
    async with _opened() as (_, asking):
        assert await _failure(asking, "empty.example") == socket.EAI_NONAME


async def test_names_that_are_slow_keep_no_other_waiting() -> None:
    async with _opened() as (server, asking):
        threads_before = threading.active_count()
        slow = [
            asyncio.create_task(asking.look_up(f"silent{number}.example", 443)) for number in range(LOOK_UPS)
        ]
        while server.silence_count < LOOK_UPS:  # noqa: ASYNC110  the queries ring no bell
            await asyncio.sleep(0.01)
        found = await asking.look_up("good.example", 443)
        threads_more = threading.active_count() - threads_before
        for task in slow:
            task.cancel()
        ended = await asyncio.gather(*slow, return_exceptions=True)

    assert sorted(found) == sorted(PUBLIC)
    assert threads_more <= 0
    assert {type(each) for each in ended} == {asyncio.CancelledError}


async def test_a_name_that_is_slow_alone_is_at_fault() -> None:
    async with _opened(seconds=SECONDS) as (_, asking):
        slow = asyncio.create_task(_failure(asking, "silent.example"))
        await asyncio.sleep(0)
        await asking.look_up("good.example", 443)

        assert await slow == socket.EAI_FAIL


async def test_no_name_is_at_fault_while_no_other_is_answered() -> None:
    async with _opened(seconds=SECONDS) as (_, asking):
        await asking.look_up("good.example", 443)
        errors = await asyncio.gather(*(_failure(asking, f"silent{number}.example") for number in range(3)))

    assert set(errors) == {socket.EAI_AGAIN}


async def test_what_is_known_without_asking_proves_no_name_server() -> None:
    async with _opened(seconds=SECONDS) as (_, asking):
        slow = asyncio.create_task(_failure(asking, "silent.example"))
        await asyncio.sleep(0)
        await asking.look_up("localhost", 443)

        assert await slow == socket.EAI_AGAIN


async def test_every_address_of_an_answer_is_guarded() -> None:
    async with (
        _opened() as (_, asking),
        open_egress_session(UrlPolicy(), connections_max=1, look_up=asking.look_up) as session,
    ):
        with pytest.raises(ForbiddenUrlError):
            await session.get("https://private.example/")
