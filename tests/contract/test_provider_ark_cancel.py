"""What is particular to ModelArk when a task is to be stopped: a DELETE that must not meet a result."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest

from services.upstream.provider import BrokenError, BusyError, UnreachableError, UpstreamError
from services.upstream.providers.ark.adapter import ArkProvider
from tests.fakes.ark_server import ArkServer
from tests.fakes.provider_server import Reply
from tests.patience import PATIENCE_SECONDS

QUEUED = Reply(body={"id": "cgt-1", "status": "queued"})


@dataclass(frozen=True, kw_only=True)
class Ark:
    server: ArkServer
    provider: ArkProvider


@pytest.fixture
async def ark() -> AsyncIterator[Ark]:
    async with ArkServer() as server, aiohttp.ClientSession() as session:
        provider = ArkProvider(session=session, base_url=server.base_url, api_key="secret")
        yield Ark(server=server, provider=provider)


def failure(status: int, code: str) -> Reply:
    return Reply(status=status, body={"error": {"code": code, "message": "words", "type": "Some"}})


async def test_only_a_queued_task_is_deleted(ark: Ark) -> None:
    ark.server.will(QUEUED, Reply(status=204))

    has_ended = await ark.provider.cancel("cgt-1", timeout_seconds=PATIENCE_SECONDS)

    assert has_ended
    assert [seen.method for seen in ark.server.seen] == ["GET", "DELETE"]
    assert {seen.path for seen in ark.server.seen} == {"/api/v3/contents/generations/tasks/cgt-1"}


@pytest.mark.parametrize(
    ("status", "code", "then"),
    [
        (409, "InvalidAction.RunningTaskDeletion", "running"),
        (409, "InvalidAction.RunningTaskDeletion", "succeeded"),
        (400, "InvalidAction.RunningTaskDeletion", "running"),
        (409, "InvalidAction.CancelledTaskDeletion", "cancelled"),
    ],
)
async def test_a_refused_deletion_is_followed_by_a_look(ark: Ark, status: int, code: str, then: str) -> None:
    task = {"id": "cgt-1", "status": then, "content": {"video_url": "https://p.example/v"}}
    ark.server.will(QUEUED, failure(status, code), Reply(body=task))

    assert await ark.provider.cancel("cgt-1", timeout_seconds=PATIENCE_SECONDS) is (then == "cancelled")


async def test_a_task_that_is_gone_when_it_is_to_be_deleted_has_ended(ark: Ark) -> None:
    ark.server.will(QUEUED, failure(404, "NotFound.Task"))

    assert await ark.provider.cancel("cgt-1", timeout_seconds=PATIENCE_SECONDS)


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (429, "ServerOverloaded", BusyError),
        (403, "AccessDenied", BrokenError),
        (500, "InternalServiceError", UnreachableError),
    ],
)
async def test_a_deletion_that_is_not_answered_tells_nothing(
    ark: Ark, status: int, code: str, error: type[UpstreamError]
) -> None:
    ark.server.will(QUEUED, failure(status, code))

    with pytest.raises(error):
        await ark.provider.cancel("cgt-1", timeout_seconds=PATIENCE_SECONDS)
