"""Every row of the table of magic prompts, over HTTP. A row without a check fails."""

import io
from collections.abc import Awaitable, Callable
from typing import Any

import av
import pytest
from aiohttp import ClientOSError

from services.simulator.scenarios import SCENARIOS, Scenario
from tests.integration.simulator.wire import Answer, Caller, Json, Receiver

Check = Callable[[Caller, Receiver, str], Awaitable[None]]
CHECKS: dict[str, Check] = {}


def check(directive: str) -> Callable[[Check], Check]:
    def enter(function: Check) -> Check:
        CHECKS[directive] = function
        return function

    return enter


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.directive)
async def test_every_magic_prompt_does_what_its_row_says(
    scenario: Scenario, caller: Caller, receiver: Receiver
) -> None:
    await CHECKS[scenario.directive](caller, receiver, f"A cat [simulate: {scenario.directive}]")


def test_no_check_is_left_over() -> None:
    assert set(CHECKS) == {scenario.directive for scenario in SCENARIOS}


async def stored(caller: Caller, safety_identifier: str) -> list[Json]:
    items: list[Json] = (await caller.list(page_size=500))["items"]
    return [task for task in items if task.get("safety_identifier") == safety_identifier]


def frame_count(video: bytes) -> int:
    with av.open(io.BytesIO(video), "r") as container:
        return len(list(container.decode(video=0)))


async def ends_with(caller: Caller, prompt: str, status: str, code: str | None) -> None:
    task = await caller.succeeded(prompt)

    assert task["status"] == status
    assert task.get("error", {}).get("code") == code
    assert "content" not in task
    assert "usage" not in task


@check("fail")
async def fail(caller: Caller, receiver: Receiver, prompt: str) -> None:
    await ends_with(caller, prompt, "failed", "InternalServiceError")


@check("moderated prompt")
async def moderated_prompt(caller: Caller, receiver: Receiver, prompt: str) -> None:
    for _ in range(2):
        answer = await caller.post(prompt, safety_identifier="moderated")
        assert (answer.status, answer.error["code"]) == (400, "InputTextSensitiveContentDetected")

    assert await stored(caller, "moderated") == []


@check("moderated video")
async def moderated_video(caller: Caller, receiver: Receiver, prompt: str) -> None:
    await ends_with(caller, prompt, "failed", "OutputVideoSensitiveContentDetected")


@check("bad image")
async def bad_image(caller: Caller, receiver: Receiver, prompt: str) -> None:
    await ends_with(caller, prompt, "failed", "InvalidImageURL.InvalidFormat")


@check("slow")
async def slow(caller: Caller, receiver: Receiver, prompt: str) -> None:
    running = await caller.create(prompt)
    task = await caller.succeeded(prompt.replace("slow", "slow 1"))

    assert task["updated_at"] > task["created_at"]
    assert (await caller.get(running)).json["status"] == "running"


@check("queue")
async def queue(caller: Caller, receiver: Receiver, prompt: str) -> None:
    queued = await caller.create(prompt)
    task = await caller.succeeded(prompt.replace("queue", "queue 1"))
    before = (await caller.get(queued)).json["status"]
    await caller.delete(queued)

    assert task["updated_at"] > task["created_at"]
    assert before == "queued"
    assert (await caller.get(queued)).json["status"] == "cancelled"


@check("expire")
async def expire(caller: Caller, receiver: Receiver, prompt: str) -> None:
    await ends_with(caller, prompt, "expired", None)


@check("lost response")
async def lost_response(caller: Caller, receiver: Receiver, prompt: str) -> None:
    with pytest.raises(ClientOSError, match="reset"):
        await caller.post(prompt, safety_identifier="lost")

    (task,) = await stored(caller, "lost")
    assert (await caller.seen(task["id"], "succeeded"))["content"]["video_url"]
    assert (await caller.post(prompt, safety_identifier="lost")).status == 200


@check("stored error")
async def stored_error(caller: Caller, receiver: Receiver, prompt: str) -> None:
    answer = await caller.post(prompt, safety_identifier="stored")

    assert (answer.status, answer.error["code"]) == (500, "InternalServiceError")
    (task,) = await stored(caller, "stored")
    await caller.seen(task["id"], "succeeded")


async def refused_then_accepted(caller: Caller, prompt: str, identifier: str, count: int) -> list[Answer]:
    answers = [await caller.post(prompt, safety_identifier=identifier) for _ in range(count)]
    assert await stored(caller, identifier) == []
    await caller.succeeded(prompt, safety_identifier=identifier)
    return answers


@check("create error")
async def create_error(caller: Caller, receiver: Receiver, prompt: str) -> None:
    (answer,) = await refused_then_accepted(caller, prompt, "create-error", 1)

    assert (answer.status, answer.error["code"]) == (500, "InternalServiceError")


@check("rate limit")
async def rate_limit(caller: Caller, receiver: Receiver, prompt: str) -> None:
    for answer in await refused_then_accepted(caller, prompt, "limited", 2):
        assert (answer.status, answer.error["type"]) == (429, "TooManyRequests")
        assert answer.headers["Retry-After"] == "1"


@check("overload")
async def overload(caller: Caller, receiver: Receiver, prompt: str) -> None:
    for answer in await refused_then_accepted(caller, prompt, "overload", 2):
        assert (answer.status, answer.error["code"]) == (429, "ServerOverloaded")
        assert "Retry-After" not in answer.headers


@check("garbled create")
async def garbled_create(caller: Caller, receiver: Receiver, prompt: str) -> None:
    answer = await caller.post(prompt, safety_identifier="garbled")

    assert (answer.status, answer.content[:6]) == (200, b"<html>")
    (task,) = await stored(caller, "garbled")
    await caller.seen(task["id"], "succeeded")


async def polls(caller: Caller, prompt: str, count: int) -> list[Answer]:
    """The first answers about a task, followed by one that tells the truth."""
    task_id = await caller.create(prompt)
    answers = [await caller.get(task_id) for _ in range(count)]
    await caller.seen(task_id, "succeeded")
    return answers


@check("poll error")
async def poll_error(caller: Caller, receiver: Receiver, prompt: str) -> None:
    assert [answer.status for answer in await polls(caller, prompt, 3)] == [500] * 3


@check("garbled poll")
async def garbled_poll(caller: Caller, receiver: Receiver, prompt: str) -> None:
    answers = await polls(caller, prompt, 3)

    assert [(answer.status, answer.content[:6]) for answer in answers] == [(200, b"<html>")] * 3


@check("strange status")
async def strange_status(caller: Caller, receiver: Receiver, prompt: str) -> None:
    assert [answer.json["status"] for answer in await polls(caller, prompt, 3)] == ["postprocessing"] * 3


@check("no video")
async def no_video(caller: Caller, receiver: Receiver, prompt: str) -> None:
    task = await caller.succeeded(prompt)

    assert (task["status"], task["content"]) == ("succeeded", {})


@check("wrong media")
async def wrong_media(caller: Caller, receiver: Receiver, prompt: str) -> None:
    task = await caller.succeeded(prompt)

    answer = await caller.download(task["content"]["video_url"])

    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html")
    assert answer.content.startswith(b"<!doctype html>")


@check("truncated media")
async def truncated_media(caller: Caller, receiver: Receiver, prompt: str) -> None:
    video = await caller.video_of(await caller.succeeded(prompt))

    assert len(video) == len(await caller.video_of(await caller.succeeded("A cat"))) // 2
    with pytest.raises(av.FFmpegError):
        frame_count(video)


@check("corrupt media")
async def corrupt_media(caller: Caller, receiver: Receiver, prompt: str) -> None:
    video = await caller.video_of(await caller.succeeded(prompt))

    assert len(video) == len(await caller.video_of(await caller.succeeded("A cat")))
    assert video[4:8] == b"ftyp"
    with pytest.raises(av.FFmpegError):
        av.open(io.BytesIO(video))


@check("short clip")
async def short_clip(caller: Caller, receiver: Receiver, prompt: str) -> None:
    task = await caller.succeeded(prompt, duration=5)

    assert task["duration"] == 2
    assert frame_count(await caller.video_of(task)) == 48


async def announced(caller: Caller, receiver: Receiver, prompt: str, **fields: Any) -> Json:
    return await caller.succeeded(prompt, callback_url=receiver.url, **fields)


@check("twice callbacks")
async def twice_callbacks(caller: Caller, receiver: Receiver, prompt: str) -> None:
    task = await announced(caller, receiver, prompt)

    await receiver.until(lambda received: len(received) >= 6)
    assert receiver.statuses_of(task["id"]) == ["queued"] * 2 + ["running"] * 2 + ["succeeded"] * 2


@check("shuffled callbacks")
async def shuffled_callbacks(caller: Caller, receiver: Receiver, prompt: str) -> None:
    await announced(caller, receiver, prompt)

    received = await receiver.until(lambda received: len(received) >= 3)
    assert [task["status"] for task in received] == ["succeeded", "queued", "running"]


@check("no callbacks")
async def no_callbacks(caller: Caller, receiver: Receiver, prompt: str) -> None:
    await announced(caller, receiver, prompt)
    spoken = await announced(caller, receiver, "A cat")

    received = await receiver.until(bool)
    assert [task["id"] for task in received] == [spoken["id"]]


@check("callbacks only")
async def callbacks_only(caller: Caller, receiver: Receiver, prompt: str) -> None:
    task_id = await caller.create(f"{prompt}", callback_url=receiver.url, duration=6)

    early = await caller.get(task_id)
    (task,) = await receiver.until(bool)
    late = await caller.get(task_id)

    assert early.status == 500
    assert (late.status, late.json) == (200, task)
