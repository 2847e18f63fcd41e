"""What is particular to MiniMax: its error tables, its words for sizes, its DELETE."""

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
    RefusalKind,
    Refused,
    RefusedError,
    UnknownError,
    UnreachableError,
    UpstreamError,
)
from tests.contract.stages.minimax import ORDER, QUEUED, STAGE, TASK_ID, task
from tests.contract.stages.stage import Scene, open_scene
from tests.fakes.minimax_server import failed
from tests.fakes.provider_server import Reply

START = "https://in.example/1.png"
REFUSALS = [
    (400, "bad_request_error", "words (2013)", RefusalKind.PARAMETERS),
    (400, "bad_request_error", "words", RefusalKind.PARAMETERS),
    (422, "unprocessable_entity_error", "words (1026)", RefusalKind.CONTENT),
    (422, "unprocessable_entity_error", "words (1027)", RefusalKind.CONTENT),
    (422, "unprocessable_entity_error", "words", RefusalKind.CONTENT),
    (422, "unprocessable_entity_error", "words (2013)", RefusalKind.PARAMETERS),
    (409, "odd_error", "words", RefusalKind.PARAMETERS),
]
CAUSES = [
    (failed(401, "authorized_error", "words (1004)"), BrokenCause.CREDENTIAL),
    (failed(403, "odd_error", "words"), BrokenCause.CREDENTIAL),
    (failed(402, "insufficient_balance_error", "words (1008)"), BrokenCause.QUOTA),
    (failed(404, "odd_error", "words"), BrokenCause.MODEL),
    (Reply(status=404, body=b"404 page not found"), BrokenCause.MODEL),
    (Reply(status=400, body=b"<html>"), BrokenCause.MODEL),
    (Reply(status=307), BrokenCause.MODEL),
]
IN_DOUBT = [
    failed(408, "odd_error", "words"),
    failed(500, "server_error", "words (1000)"),
    failed(503, "server_error", "words (1000)"),
    failed(200, "rate_limit_error", "words (1002)"),
]
READS = [
    (failed(400, "bad_request_error", "words (2013)"), BrokenError),
    (failed(401, "authorized_error", "words (1004)"), BrokenError),
    (failed(429, "rate_limit_error", "words (1002)"), BusyError),
    (failed(500, "server_error", "words (1000)"), UnreachableError),
    (Reply(status=404, body=b"404 page not found"), BrokenError),
]
FAILURES = [
    ({"code": "1026", "message": "words"}, RefusalKind.CONTENT),
    ({"code": 1027, "message": "words"}, RefusalKind.CONTENT),
    ({"code": "unprocessable_entity_error", "message": "words"}, RefusalKind.CONTENT),
    ({"message": "words (1027)"}, RefusalKind.CONTENT),
    ({"code": "2013", "message": "words"}, RefusalKind.PARAMETERS),
    ({"code": "1000", "message": "words"}, RefusalKind.UNAVAILABLE),
    ({"code": "server_error", "message": "words"}, RefusalKind.UNAVAILABLE),
    ({"code": "1002", "message": "words"}, RefusalKind.UNAVAILABLE),
    ({"code": "7777", "message": "words"}, RefusalKind.FAILED),
    ({"code": ["odd"], "message": 3}, RefusalKind.FAILED),
    (None, RefusalKind.FAILED),
]


@pytest.fixture
async def minimax() -> AsyncIterator[Scene]:
    async with open_scene(STAGE) as ready:
        yield ready


async def submit(minimax: Scene, order: Order = ORDER) -> str:
    return await minimax.provider.submit(
        order, correlation_id="att_1", callback_url="https://ours.example/cb/t", timeout_seconds=5
    )


@pytest.mark.parametrize(("status", "kind", "words", "refusal"), REFUSALS)
async def test_a_refusal_follows_its_number_and_then_its_kind(
    minimax: Scene, status: int, kind: str, words: str, refusal: RefusalKind
) -> None:
    minimax.server.will(failed(status, kind, words))

    with pytest.raises(RefusedError) as caught:
        await submit(minimax)

    assert caught.value.refused.kind is refusal
    assert "words" not in caught.value.detail


@pytest.mark.parametrize(("reply", "cause"), CAUSES)
async def test_what_an_operator_must_mend(minimax: Scene, reply: Reply, cause: BrokenCause) -> None:
    minimax.server.will(reply)

    with pytest.raises(BrokenError) as caught:
        await submit(minimax)

    assert caught.value.cause is cause


@pytest.mark.parametrize("reply", IN_DOUBT)
async def test_an_order_in_doubt_is_not_taken_for_refused(minimax: Scene, reply: Reply) -> None:
    minimax.server.will(reply)

    with pytest.raises(UnknownError):
        await submit(minimax)


@pytest.mark.parametrize(("reply", "error"), READS)
async def test_what_a_refused_read_means(minimax: Scene, reply: Reply, error: type[UpstreamError]) -> None:
    minimax.server.will(reply)

    with pytest.raises(error):
        await minimax.provider.check(TASK_ID, timeout_seconds=5)


@pytest.mark.parametrize(("error", "kind"), FAILURES)
async def test_a_failed_task_says_why(minimax: Scene, error: object, kind: RefusalKind) -> None:
    minimax.server.will(task("failed", error=error))

    answer = await minimax.provider.check(TASK_ID, timeout_seconds=5)

    assert isinstance(answer, Refused)
    assert answer.kind is kind
    assert "words" not in answer.detail


@pytest.mark.parametrize(
    ("order", "members"),
    [
        (ORDER, {"resolution": "768P", "duration": 4, "ratio": "16:9", "aigc_watermark": False}),
        (replace(ORDER, resolution="2k", watermark=True), {"resolution": "2K", "aigc_watermark": True}),
        (replace(ORDER, aspect_ratio="adaptive"), {"ratio": None}),
        (replace(ORDER, aspect_ratio="adaptive", image_urls=(START,)), {"ratio": "adaptive"}),
        (
            replace(ORDER, start_image_url=START),
            {
                "content": [
                    {"type": "text", "text": ORDER.prompt},
                    {"type": "image_url", "image_url": {"url": START}, "role": "first_frame"},
                ]
            },
        ),
    ],
)
async def test_an_order_is_put_in_its_words_and_asks_for_no_callback(
    minimax: Scene, order: Order, members: dict[str, object]
) -> None:
    await submit(minimax, order)

    [seen] = minimax.server.seen
    body = json.loads(seen.body)
    assert {name: body.get(name) for name in members} == members
    assert "callback_url" not in body


@pytest.mark.parametrize("status", [400, 409, 422])
@pytest.mark.parametrize(("then", "has_ended"), [("running", False), ("cancelled", True)])
async def test_a_refused_deletion_is_followed_by_a_look(
    minimax: Scene, status: int, then: str, has_ended: bool
) -> None:
    minimax.server.will(QUEUED, failed(status, "bad_request_error", "words (2013)"), task(then))

    assert await minimax.provider.cancel(TASK_ID, timeout_seconds=5) is has_ended


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (failed(429, "rate_limit_error", "words (1002)"), BusyError),
        (failed(401, "authorized_error", "words (1004)"), BrokenError),
        (failed(500, "server_error", "words (1000)"), UnreachableError),
    ],
)
async def test_a_deletion_without_an_answer_tells_nothing(
    minimax: Scene, reply: Reply, error: type[UpstreamError]
) -> None:
    minimax.server.will(QUEUED, reply)

    with pytest.raises(error):
        await minimax.provider.cancel(TASK_ID, timeout_seconds=5)


async def test_only_a_queued_task_is_deleted(minimax: Scene) -> None:
    queued, running, finished = [await submit(minimax) for _ in range(3)]
    minimax.server.run(running)
    minimax.server.finish(finished)

    stopped = [await minimax.provider.cancel(each, timeout_seconds=5) for each in (queued, running, finished)]

    assert stopped == [True, False, False]
    assert isinstance(await minimax.provider.check(finished, timeout_seconds=5), Done)
