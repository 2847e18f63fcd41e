"""Another Reelgate, against a server that keeps to the proto files of its contract."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import pytest

from services.upstream.provider import (
    BadReference,
    BrokenCause,
    BrokenError,
    Hint,
    Order,
    ReferenceFault,
    RefusalKind,
    Refused,
    UnknownError,
    UnreachableError,
    UpstreamError,
)
from services.upstream.providers.reelgate.adapter import ReelgateProvider
from tests.contract.stages.reelgate import EVENT, ORDER
from tests.contract.stages.stage import recorded
from tests.fakes.faithful_server import KEY
from tests.fakes.provider_server import Fault, Reply
from tests.fakes.reelgate_server import ReelgateServer
from tests.patience import PATIENCE_SECONDS

CALLBACK = "https://ours.example/cb"
BODY = {
    "model": "seedance-2.0-pro",
    "prompt": "a boat in a storm",
    "generation_type": "omni_reference",
    "duration_seconds": 4,
    "resolution": "480p",
    "aspect_ratio": "16:9",
    "generate_audio": False,
    "watermark": False,
    "seed": 7,
    "webhook_url": CALLBACK,
    "metadata": {"attempt": "att_1"},
}
CREATED_AT = 1772352000.0


@dataclass(frozen=True, kw_only=True)
class Far:
    server: ReelgateServer
    provider: ReelgateProvider

    async def submit(self, order: Order = ORDER, *, attempt: str = "att_1") -> str:
        return await self.provider.submit(
            order, correlation_id=attempt, callback_url=CALLBACK, timeout_seconds=PATIENCE_SECONDS
        )

    def add_jobs(self, count: int) -> None:
        """Adds jobs of others, newer than all before."""
        for number in range(count):
            job = {"status": "queued", "created_at": "2026-03-01T08:00:00.000Z"}
            self.server.new_task({}, {**job, "metadata": {"attempt": f"att_of_another_{number}"}})

    async def find(self, attempt: str, *, after: float = CREATED_AT) -> str | None:
        return await self.provider.find(
            attempt, model=ORDER.model, created_after=after, timeout_seconds=PATIENCE_SECONDS
        )

    async def error_of(self, reply: Reply) -> UpstreamError:
        self.server.will(reply)
        with pytest.raises(UpstreamError) as caught:
            await self.submit()
        return caught.value


@pytest.fixture
async def far() -> AsyncIterator[Far]:
    async with ReelgateServer() as server, aiohttp.ClientSession() as session:
        provider = ReelgateProvider(session=session, base_url=server.base_url, api_key=KEY)
        yield Far(server=server, provider=provider)


def failure(status: int, code: str, **headers: str) -> Reply:
    return Reply(status=status, body={"error": {"code": code, "message": "Words"}}, headers=headers)


async def test_an_order_is_the_contracts_own_and_has_the_attempt_as_its_key(far: Far) -> None:
    task_id = await far.submit()

    assert far.server.orders[task_id] == BODY
    assert far.server.seen[0].headers["idempotency-key"] == "att_1"


async def test_frames_are_another_type_of_generation(far: Far) -> None:
    frames = {"start_image_url": "https://c.example/a.png", "end_image_url": "https://c.example/b.png"}

    task_id = await far.submit(replace(ORDER, **frames))  # type: ignore[arg-type] # texts alone

    assert far.server.orders[task_id] == BODY | frames | {"generation_type": "first_and_last_frames"}


async def test_an_order_that_arrives_twice_is_one_job(far: Far) -> None:
    far.server.will(Reply(fault=Fault.LOSE))
    with pytest.raises(UnknownError):
        await far.submit()

    assert [await far.submit()] == far.server.task_ids


async def test_a_lost_order_is_found_behind_the_jobs_that_came_after_it(far: Far) -> None:
    wanted = await far.submit()
    far.add_jobs(130)
    asked = len(far.server.seen)

    assert await far.find("att_1") == wanted
    assert len(far.server.seen) - asked == 2
    assert await far.find("att_999") is None


async def test_a_search_ends_at_jobs_that_are_older_than_the_order(far: Far) -> None:
    await far.submit()
    far.add_jobs(130)
    asked = len(far.server.seen)

    assert await far.find("att_2", after=CREATED_AT + 301) is None
    assert len(far.server.seen) - asked == 1


@pytest.mark.parametrize(
    "row", [7, {"id": "a/b"}, {"id": "job_1"}, {"id": "job_1", "created_at": "yesterday"}]
)
async def test_a_list_that_cannot_be_read_does_not_say_that_there_is_none(far: Far, row: Any) -> None:
    far.server.will(Reply(body={"data": [row], "has_more": False}))

    with pytest.raises(UnreachableError):
        await far.find("att_1")


async def test_a_list_longer_than_it_shows_does_not_say_that_there_is_none(far: Far) -> None:
    task_id = await far.submit()
    page = Reply(body={"data": [far.server.tasks[task_id]], "has_more": True})
    far.server.will(*[page] * 101)

    with pytest.raises(UnreachableError):
        await far.find("att_2")


@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        (failure(401, "unauthorized"), BrokenCause.CREDENTIAL),
        (failure(403, "permission_denied"), BrokenCause.CREDENTIAL),
        (failure(402, "insufficient_credits"), BrokenCause.QUOTA),
        (failure(402, "spend_limit_exceeded"), BrokenCause.QUOTA),
        (failure(404, "not_found"), BrokenCause.MODEL),
        (failure(415, "invalid_request"), BrokenCause.MODEL),
        (Reply(status=400, body=b"<html>"), BrokenCause.MODEL),
        (Reply(status=302, headers={"Location": "https://evil.example/"}), BrokenCause.MODEL),
    ],
)
async def test_our_own_faults_say_what_to_mend(far: Far, reply: Reply, cause: BrokenCause) -> None:
    error = await far.error_of(reply)

    assert isinstance(error, BrokenError)
    assert error.cause is cause


@pytest.mark.parametrize(
    "reply",
    [
        failure(409, "idempotency_conflict", **{"Retry-After": "1"}),
        failure(422, "idempotency_conflict"),
        failure(503, "internal_error", **{"Retry-After": "1"}),
        Reply(body={"status": "queued"}),
        Reply(body={"id": "a/b", "status": "queued"}),
    ],
)
async def test_doubt_about_an_order_is_never_taken_for_a_no(far: Far, reply: Reply) -> None:
    assert isinstance(await far.error_of(reply), UnknownError)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "image_urls[2] could not be downloaded. Check it.",
            BadReference(is_image=True, fault=ReferenceFault.NOT_FETCHED),
        ),
        (
            "start_image_url could not be read.",
            BadReference(is_image=True, fault=ReferenceFault.NOT_READABLE),
        ),
        ("video_url is outside of what the model takes.", BadReference(fault=ReferenceFault.OUT_OF_BOUNDS)),
        ("A reference file could not be used.", BadReference()),
        ("", BadReference()),
    ],
)
async def test_an_unusable_file_is_told_on(far: Far, message: str, expected: BadReference) -> None:
    task_id = await far.submit()
    far.server.will_be("failed", error={"code": "input_media_error", "message": message})

    answer = await far.provider.check(task_id, timeout_seconds=PATIENCE_SECONDS)

    assert isinstance(answer, Refused)
    assert answer == Refused(kind=RefusalKind.INPUT_MEDIA, detail=answer.detail, reference=expected)
    assert "Check" not in answer.detail


async def test_a_job_that_is_just_being_submitted_can_be_stopped_later(far: Far) -> None:
    task_id = await far.submit()
    far.server.will(recorded("reelgate", "queued"), failure(409, "conflict", **{"Retry-After": "1"}))

    with pytest.raises(UnreachableError):
        await far.provider.cancel(task_id, timeout_seconds=PATIENCE_SECONDS)
    assert await far.provider.cancel(task_id, timeout_seconds=PATIENCE_SECONDS)


async def test_without_a_secret_an_event_is_a_hint_and_proves_nothing(far: Far) -> None:
    for headers in ({}, {"x-nextapi-signature": "t=1772352000,v1=00"}):
        hint = await far.provider.read_callback(headers, EVENT, model=ORDER.model)
        assert hint == Hint(task_id=ReelgateServer.FIRST_ID, is_authentic=False)


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"type": "job.queued"}',
        b'{"type": "job.queued", "data": {"id": "../x"}}',
        b'{"type": "webhook.test", "data": {"id": "job_1"}}',
    ],
)
async def test_what_is_no_event_of_a_job_is_none(far: Far, body: bytes) -> None:
    assert await far.provider.read_callback({}, body, model=ORDER.model) is None
