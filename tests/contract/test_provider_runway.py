"""What is particular to Runway: its error tables, its sizes, its two places for orders, its DELETE."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from services.upstream.provider import (
    BrokenCause,
    BrokenError,
    BusyError,
    Done,
    Order,
    Pending,
    RefusalKind,
    Refused,
    RefusedError,
    UnknownError,
    UnreachableError,
    UpstreamError,
)
from tests.contract.stages.runway import ORDER, STAGE, TASK_ID, task
from tests.contract.stages.stage import Scene, open_scene
from tests.fakes.provider_server import Reply
from tests.fakes.runway_server import failed

FAILURES = [
    ("SAFETY.INPUT.TEXT", RefusalKind.CONTENT),
    ("SAFETY.INPUT.MULTI", RefusalKind.CONTENT),
    ("SAFETY.OUTPUT.VIDEO", RefusalKind.CONTENT),
    ("INPUT_PREPROCESSING.SAFETY.TEXT", RefusalKind.CONTENT),
    ("ASSET.INVALID", RefusalKind.INPUT_MEDIA),
    ("INTERNAL", RefusalKind.UNAVAILABLE),
    ("INTERNAL.BAD_OUTPUT.CODE01", RefusalKind.UNAVAILABLE),
    ("INPUT_PREPROCESSING.INTERNAL", RefusalKind.UNAVAILABLE),
    ("THIRD_PARTY.UNAVAILABLE", RefusalKind.UNAVAILABLE),
    ("INTERNALLY_ODD", RefusalKind.FAILED),
    ("", RefusalKind.FAILED),
]
SUBMISSIONS = [
    (failed(400, "words"), RefusedError),
    (failed(401, "words"), BrokenError),
    (failed(402, "words"), BrokenError),
    (failed(403, "words"), BrokenError),
    (failed(404, "words"), BrokenError),
    (failed(405, "words"), BrokenError),
    (failed(422, "words"), RefusedError),
    (failed(429, "words"), BusyError),
    (failed(500, "words"), UnknownError),
    (failed(502, "words"), UnknownError),
    (failed(503, "words"), UnreachableError),
    (Reply(status=503, body=b"<html>"), UnknownError),
    (failed(504, "words"), UnknownError),
    (Reply(status=400, body=b"<html>"), BrokenError),
    (Reply(status=307), BrokenError),
]
READS = [
    (failed(400, "words"), BrokenError),
    (failed(401, "words"), BrokenError),
    (failed(405, "words"), BrokenError),
    (failed(429, "words"), BusyError),
    (failed(500, "words"), UnreachableError),
    (failed(503, "words"), UnreachableError),
    (Reply(status=404, body=b"<html>"), BrokenError),
]
START, END = "https://in.example/1.png", "https://in.example/2.png"


@pytest.fixture
async def runway() -> AsyncIterator[Scene]:
    async with open_scene(STAGE) as ready:
        yield ready


async def submit(runway: Scene, order: Order = ORDER) -> str:
    return await runway.provider.submit(
        order, correlation_id="att_1", callback_url="https://ours.example/cb/t", timeout_seconds=5
    )


@pytest.mark.parametrize(("code", "kind"), FAILURES)
async def test_a_failed_task_says_why_by_its_code(runway: Scene, code: str, kind: RefusalKind) -> None:
    runway.server.will(task("FAILED", failure="words", **({"failureCode": code} if code else {})))

    answer = await runway.provider.check(TASK_ID, timeout_seconds=5)

    assert isinstance(answer, Refused)
    assert answer.kind is kind
    assert "words" not in answer.detail


@pytest.mark.parametrize(("reply", "error"), SUBMISSIONS)
async def test_what_a_refused_submission_means(
    runway: Scene, reply: Reply, error: type[UpstreamError]
) -> None:
    runway.server.will(reply)

    with pytest.raises(error) as caught:
        await submit(runway)

    assert "words" not in caught.value.detail
    assert len(runway.server.seen) == 1


@pytest.mark.parametrize(("reply", "error"), READS)
async def test_what_a_refused_read_means(runway: Scene, reply: Reply, error: type[UpstreamError]) -> None:
    runway.server.will(reply)

    with pytest.raises(error):
        await runway.provider.check(TASK_ID, timeout_seconds=5)


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (401, BrokenCause.CREDENTIAL),
        (403, BrokenCause.CREDENTIAL),
        (402, BrokenCause.QUOTA),
        (404, BrokenCause.MODEL),
    ],
)
async def test_what_an_operator_must_mend(runway: Scene, status: int, cause: BrokenCause) -> None:
    runway.server.will(failed(status, "words"))

    with pytest.raises(BrokenError) as caught:
        await submit(runway)

    assert caught.value.cause is cause


@pytest.mark.parametrize(
    ("order", "path", "members"),
    [
        (ORDER, "/v1/text_to_video", {"ratio": "864:496", "audio": False, "duration": 4}),
        (
            replace(ORDER, resolution="1080p", aspect_ratio="21:9"),
            "/v1/text_to_video",
            {"ratio": "2206:946"},
        ),
        (
            replace(ORDER, image_urls=(START, END)),
            "/v1/text_to_video",
            {"references": [{"uri": START}, {"uri": END}]},
        ),
        (
            replace(ORDER, start_image_url=START),
            "/v1/image_to_video",
            {"promptImage": [{"uri": START, "position": "first"}]},
        ),
        (
            replace(ORDER, start_image_url=START, end_image_url=END),
            "/v1/image_to_video",
            {"promptImage": [{"uri": START, "position": "first"}, {"uri": END, "position": "last"}]},
        ),
    ],
)
async def test_an_order_goes_where_its_media_belong(
    runway: Scene, order: Order, path: str, members: dict[str, object]
) -> None:
    await submit(runway, order)

    [seen] = runway.server.seen
    assert (seen.method, seen.path) == ("POST", path)
    assert seen.headers["x-runway-version"] == "2024-11-06"
    body = json.loads(seen.body)
    assert {name: body[name] for name in members} == members
    assert body.keys() <= {"model", "promptText", "ratio", "duration", "audio", *members}


@pytest.mark.parametrize("has_begun", [False, True])
async def test_a_task_is_stopped_before_it_has_ended_and_no_result_is_deleted(
    runway: Scene, has_begun: bool
) -> None:
    stopped, finished = await submit(runway), await submit(runway)
    if has_begun:
        runway.server.run(stopped)
    runway.server.finish(finished)

    assert await runway.provider.cancel(stopped, timeout_seconds=5)
    assert await runway.provider.cancel(stopped, timeout_seconds=5)
    assert not await runway.provider.cancel(finished, timeout_seconds=5)

    assert isinstance(await runway.provider.check(finished, timeout_seconds=5), Done)


async def test_a_task_of_a_full_account_waits(runway: Scene) -> None:
    runway.server.will(task("THROTTLED"))

    assert await runway.provider.check(TASK_ID, timeout_seconds=5) == Pending(running=False)


async def test_every_read_has_its_own_address_of_the_result(runway: Scene) -> None:
    task_id = await submit(runway)
    runway.server.finish(task_id)

    answers = [await runway.provider.check(task_id, timeout_seconds=5) for _ in range(2)]

    assert len({answer.video_url for answer in answers if isinstance(answer, Done)}) == 2


@pytest.mark.parametrize("output", [None, {}, [None], [""], "https://x.example/v.mp4"])
async def test_a_success_needs_an_address(runway: Scene, output: object) -> None:
    runway.server.will(task("SUCCEEDED", output=output))

    answer = await runway.provider.check(TASK_ID, timeout_seconds=5)

    assert isinstance(answer, Refused)
    assert answer.kind is RefusalKind.UNAVAILABLE
