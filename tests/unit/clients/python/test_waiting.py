"""A wait ends: with the video, with its failure, or at its deadline. Nothing else counts as success."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from reelgate_client import (
    ConnectionFailedError,
    NotFoundError,
    VideoFailedError,
    WaitInterrupted,
    WaitTimeoutError,
)

from tests.unit.clients.python.conftest import Bench
from tests.unit.clients.python.service import LOST, Received, Reply

FAILED: dict[str, Any] = {
    "error": {"code": "generation_failed", "message": "Try another prompt.", "type": "generation_error"}
}


def data(status: str, **more: Any) -> dict[str, Any]:
    return {"id": "vid_1", "status": status, "model": "mini", "created_at": "x", **more}


def shown(status: str, **more: Any) -> Reply:
    return Reply(200, {"data": data(status, **more)})


def held(bench: Bench, status: str) -> Callable[[Received], Reply]:
    """An answer for which the API takes as long as it was asked to."""

    def reply(request: Received) -> Reply:
        bench.now += int(request.path.partition("wait=")[2] or 0)
        return shown(status)

    return reply


def stream(*events: tuple[str, Any, str]) -> Reply:
    text = "retry: 2000\n\n" + "".join(
        (f"id: {event_id}\n" if event_id else "") + f"event: {name}\ndata: {json.dumps(found)}\n\n"
        for name, found, event_id in events
    )
    return Reply(200, (": keep-alive\n\n" + text).encode(), {"Content-Type": "text/event-stream"})


def status(name: str, **more: Any) -> tuple[str, Any, str]:
    return ("status", {"data": data(name, **more)}, f"vid_1/{name}")


def end(name: str, **more: Any) -> tuple[str, Any, str]:
    return ("end", {"data": data(name, **more)}, "vid_1/end")


def video(bench: Bench, **settings: Any) -> Any:
    bench.service.replies = [shown("pending")]
    found = bench.do(bench.client(**settings).videos.get("vid_1"))
    bench.service.received.clear()
    return found


def test_a_wait_asks_the_api_to_hold_the_answer(bench: Bench) -> None:
    waiting = video(bench)
    bench.service.replies = [held(bench, "pending"), held(bench, "processing"), shown("completed")]

    ended = bench.do(waiting.wait())

    assert ended is waiting
    assert (ended.status, ended.progress, ended.succeeded) == ("completed", 100, True)
    assert [each.path.partition("?")[2] for each in bench.service.received] == ["wait=60"] * 3
    assert bench.slept == []


def test_a_video_that_fails_is_an_error_with_its_reason(bench: Bench) -> None:
    waiting = video(bench)
    bench.service.replies = [shown("failed", **FAILED)]

    with pytest.raises(VideoFailedError, match="Try another prompt") as raised:
        bench.do(waiting.wait())

    assert (raised.value.code, raised.value.video) == ("generation_failed", waiting)


def test_a_failure_can_be_returned_instead(bench: Bench) -> None:
    waiting = video(bench)
    bench.service.replies = [shown("failed", **FAILED)]

    assert bench.do(waiting.wait(raise_on_failure=False)).status == "failed"


def test_a_status_of_tomorrow_ends_the_wait_and_is_no_success(bench: Bench) -> None:
    waiting = video(bench)
    bench.service.replies = [shown("archived")]

    with pytest.raises(VideoFailedError, match="'archived'") as raised:
        bench.do(waiting.wait())

    assert raised.value.code == "unknown_status"
    assert len(bench.service.received) == 1


@pytest.mark.parametrize("ended", ["failed", "canceled", "archived"])
def test_nothing_but_succeeded_is_success_on_nextapi(bench: Bench, ended: str) -> None:
    job = {"id": "job_1", "status": ended, "progress": 30, "error": {"code": "canceled", "message": "m"}}
    bench.service.replies = [Reply(200, {"id": "job_1", "status": "queued"}), Reply(200, job)]
    waiting = bench.do(bench.client("nextapi").videos.get("job_1"))

    with pytest.raises(VideoFailedError):
        bench.do(waiting.wait())

    assert waiting.progress == 30


def test_the_deadline_raises_with_the_handle(bench: Bench) -> None:
    waiting = video(bench)
    bench.service.replies = [held(bench, "processing")]

    with pytest.raises(WaitTimeoutError, match="still processing") as raised:
        bench.do(waiting.wait(timeout=150))

    assert raised.value.video is waiting
    assert [each.path.partition("?")[2] for each in bench.service.received] == [
        "wait=60",
        "wait=60",
        "wait=30",
    ]


def test_a_wait_without_a_deadline_of_its_own_ends_after_15_minutes(bench: Bench) -> None:
    waiting = video(bench)
    bench.service.replies = [held(bench, "pending")]
    began = bench.now

    with pytest.raises(WaitTimeoutError):
        bench.do(waiting.wait())

    assert bench.now - began == 900


def test_answers_that_come_early_are_not_asked_for_at_once(bench: Bench) -> None:
    waiting = video(bench)
    bench.service.replies = [shown("pending")]

    with pytest.raises(WaitTimeoutError):
        bench.do(waiting.wait(timeout=60))

    assert len(bench.service.received) < 25
    assert sum(bench.slept) == 60


def test_a_wait_survives_what_passes(bench: Bench) -> None:
    waiting = video(bench, max_retries=0)
    bench.service.replies = [LOST, Reply(503, b""), Reply(502, b"<html>"), LOST, LOST, shown("completed")]

    assert bench.do(waiting.wait()).status == "completed"


def test_a_wait_gives_up_when_nobody_answers_for_long(bench: Bench) -> None:
    waiting = video(bench)
    bench.service.replies = [LOST]

    with pytest.raises(ConnectionFailedError):
        bench.do(waiting.wait())

    assert 10 < sum(bench.slept) < 120


def test_a_failure_at_the_deadline_is_the_deadline(bench: Bench) -> None:
    waiting = video(bench)
    bench.service.replies = [LOST]

    with pytest.raises(WaitTimeoutError) as raised:
        bench.do(waiting.wait(timeout=3))

    assert isinstance(raised.value.__cause__, ConnectionFailedError)


def test_what_does_not_pass_ends_the_wait(bench: Bench) -> None:
    waiting = video(bench)
    bench.service.replies = [Reply(404, {"error": {"code": "task_not_found", "message": "m", "type": "t"}})]

    with pytest.raises(NotFoundError):
        bench.do(waiting.wait())


def test_ctrl_c_leaves_the_video_running_and_the_handle_in_hand(bench: Bench) -> None:
    if bench.mode == "async":
        return  # asyncio cancels the task instead
    waiting = video(bench)

    def interrupted(_request: Received) -> Reply:
        return shown("pending")

    async def sleep(_seconds: float) -> None:
        raise KeyboardInterrupt

    bench.service.replies = [interrupted]
    waiting.core.driver.sleep = sleep

    with pytest.raises(WaitInterrupted) as raised:
        waiting.wait()

    assert raised.value.video is waiting
    assert {each.method for each in bench.service.received} == {"GET"}


def test_progress_is_told_from_events(bench: Bench) -> None:
    waiting = video(bench)
    bench.service.replies = [
        stream(
            status("pending"),
            status("processing"),
            ("progress", {"id": "vid_1", "progress": 40}, ""),
            status("completed"),
            end("completed"),
        )
    ]
    told: list[tuple[str, int]] = []

    async def tell(found: Any) -> None:
        await asyncio.sleep(0)
        told.append((found.status, found.progress))

    on_progress = tell if bench.mode == "async" else lambda found: told.append((found.status, found.progress))
    bench.do(waiting.wait(on_progress=on_progress))

    assert told == [
        ("pending", 0),
        ("pending", 0),
        ("processing", 0),
        ("processing", 40),
        ("completed", 100),
        ("completed", 100),
    ]


def test_generate_creates_and_waits(bench: Bench) -> None:
    bench.service.replies = [shown("pending"), shown("completed")]

    ended = bench.do(bench.client().videos.generate(model="mini", input={"prompt": "p"}))

    assert ended.status == "completed"
    assert [each.method for each in bench.service.received] == ["POST", "GET"]


def test_events_go_on_where_a_lost_connection_ended(bench: Bench) -> None:
    waiting = video(bench)
    cut = stream(status("pending"), status("processing"))
    bench.service.replies = [
        Reply(cut.status, cut.body, cut.headers, cut=True),
        LOST,
        Reply(503, {"error": {"code": "internal_error", "message": "m"}}, {"Retry-After": "1"}),
        stream(status("completed"), end("completed")),
    ]

    events = bench.do(waiting.events())

    assert [(each.type, each.id) for each in events] == [
        ("status", "vid_1/pending"),
        ("status", "vid_1/processing"),
        ("status", "vid_1/completed"),
        ("end", "vid_1/end"),
    ]
    assert [each.headers.get("last-event-id") for each in bench.service.received] == [
        None,
        *["vid_1/processing"] * 3,
    ]
    assert waiting.status == "completed"


def test_an_error_event_opens_the_stream_again(bench: Bench) -> None:
    waiting = video(bench)
    error = ("error", {"error": {"code": "internal_error", "message": "m", "type": "api_error"}}, "")
    bench.service.replies = [stream(status("pending"), error), stream(end("completed"))]

    assert [each.type for each in bench.do(waiting.events())] == ["status", "end"]


def test_a_stream_that_never_ends_ends_at_the_deadline(bench: Bench) -> None:
    waiting = video(bench)
    bench.service.replies = [stream(status("pending"))]

    with pytest.raises(WaitTimeoutError) as raised:
        bench.do(waiting.events(timeout=20))

    assert raised.value.video is waiting
    assert sum(bench.slept) == 20
