"""OpenRouter, against a server that keeps to its guide."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from services.upstream.provider import (
    BrokenCause,
    BrokenError,
    BusyError,
    Done,
    Hint,
    Order,
    Pending,
    RefusalKind,
    Refused,
    RefusedError,
    UnknownError,
    UnreachableError,
    UpstreamError,
)
from services.upstream.providers.openrouter.adapter import OpenRouterProvider
from tests.fakes.faithful_server import KEY
from tests.fakes.openrouter_server import OpenRouterServer
from tests.fakes.provider_server import Fault, Reply
from tests.patience import PATIENCE_SECONDS

RECORDINGS = Path(__file__).parents[1] / "recordings" / "openrouter"
CALLBACK = "https://ours.example/cb"
ORDER = Order(
    model="bytedance/seedance-2.0",
    prompt="a boat in a storm",
    duration_seconds=5,
    resolution="720p",
    aspect_ratio="16:9",
    generate_audio=False,
    watermark=False,
    return_last_frame=False,
    seed=7,
)
BODY = {
    "model": "bytedance/seedance-2.0",
    "prompt": "a boat in a storm",
    "duration": 5,
    "resolution": "720p",
    "aspect_ratio": "16:9",
    "generate_audio": False,
    "seed": 7,
    "callback_url": CALLBACK,
}


@dataclass(frozen=True, kw_only=True)
class Router:
    server: OpenRouterServer
    provider: OpenRouterProvider

    async def submit(self, order: Order = ORDER, *, callback_url: str | None = CALLBACK) -> str:
        return await self.provider.submit(
            order, correlation_id="att_1", callback_url=callback_url, timeout_seconds=PATIENCE_SECONDS
        )

    async def answer_to(self, reply: Reply) -> Pending | Done | Refused:
        self.server.will(reply)
        return await self.provider.check("abc123", timeout_seconds=PATIENCE_SECONDS)

    async def error_of(self, reply: Reply) -> UpstreamError:
        self.server.will(reply)
        with pytest.raises(UpstreamError) as caught:
            await self.submit()
        return caught.value


@pytest.fixture
async def router() -> AsyncIterator[Router]:
    async with OpenRouterServer() as server, aiohttp.ClientSession() as session:
        provider = OpenRouterProvider(session=session, base_url=server.base_url, api_key=KEY)
        yield Router(server=server, provider=provider)


def recorded(name: str, *, status: int = 200) -> Reply:
    return Reply(status=status, body=(RECORDINGS / f"{name}.json").read_bytes())


def failure(status: int, message: str = "words", **headers: str) -> Reply:
    return Reply(status=status, body={"error": {"code": status, "message": message}}, headers=headers)


async def test_an_order_is_accepted_with_202_and_polled_at_our_own_origin(router: Router) -> None:
    task_id = await router.submit()
    router.server.will_be("in_progress", task_id=task_id)

    assert await router.provider.check(task_id, timeout_seconds=PATIENCE_SECONDS) == Pending(running=True)
    assert router.server.orders[task_id] == BODY
    assert [seen.path for seen in router.server.seen] == ["/api/v1/videos", "/api/v1/videos/abc123"]


@pytest.mark.parametrize(
    ("order", "more"),
    [
        (
            replace(
                ORDER,
                image_urls=("https://c.example/1.png",),
                video_urls=("https://c.example/1.mp4",),
                audio_urls=("https://c.example/1.mp3",),
            ),
            {
                "input_references": [
                    {"type": "image_url", "image_url": {"url": "https://c.example/1.png"}},
                    {"type": "video_url", "video_url": {"url": "https://c.example/1.mp4"}},
                    {"type": "audio_url", "audio_url": {"url": "https://c.example/1.mp3"}},
                ]
            },
        ),
        (
            replace(
                ORDER, start_image_url="https://c.example/a.png", end_image_url="https://c.example/b.png"
            ),
            {
                "frame_images": [
                    {
                        "type": "image_url",
                        "image_url": {"url": "https://c.example/a.png"},
                        "frame_type": "first_frame",
                    },
                    {
                        "type": "image_url",
                        "image_url": {"url": "https://c.example/b.png"},
                        "frame_type": "last_frame",
                    },
                ]
            },
        ),
    ],
)
async def test_references_and_frames_go_where_the_guide_wants_them(
    router: Router, order: Order, more: dict[str, Any]
) -> None:
    task_id = await router.submit(order)

    assert router.server.orders[task_id] == BODY | more


async def test_what_the_guide_has_no_word_for_is_left_out(router: Router) -> None:
    task_id = await router.submit(
        replace(ORDER, aspect_ratio="adaptive"), callback_url="http://ours.example/cb"
    )

    assert BODY.keys() - router.server.orders[task_id].keys() == {"aspect_ratio", "callback_url"}


async def test_a_result_behind_the_api_needs_the_credential_and_another_must_not_have_it(
    router: Router,
) -> None:
    own, foreign = f"{router.server.base_url}/videos/abc123/content?index=0", "https://cdn.example/clip.mp4"
    router.server.will_be("completed", task_id="abc123")
    named = await router.provider.check("abc123", timeout_seconds=PATIENCE_SECONDS)
    unnamed = await router.answer_to(Reply(body={"status": "completed"}))
    elsewhere = await router.answer_to(Reply(body={"status": "completed", "unsigned_urls": [foreign]}))

    assert named == unnamed == Done(video_url=own)
    assert elsewhere == Done(video_url=foreign)
    assert router.provider.media_headers(own) == {"Authorization": f"Bearer {KEY}"}
    assert router.provider.media_headers(foreign) == {}


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (recorded("failed"), RefusalKind.CONTENT),
        (recorded("cancelled"), RefusalKind.FAILED),
        (recorded("expired"), RefusalKind.EXPIRED),
        (Reply(body={"status": "failed", "error": "Provider returned an error"}), RefusalKind.UNAVAILABLE),
        (Reply(body={"status": "failed", "error": {"message": "flagged"}}), RefusalKind.CONTENT),
        (Reply(body={"status": "failed", "error": "words"}), RefusalKind.FAILED),
        (Reply(body={"status": "failed"}), RefusalKind.FAILED),
        (Reply(body={"status": "completed", "unsigned_urls": []}), RefusalKind.UNAVAILABLE),
        (Reply(body={"status": "completed", "unsigned_urls": [None]}), RefusalKind.UNAVAILABLE),
        (Reply(body={"status": "completed", "unsigned_urls": "x"}), RefusalKind.UNAVAILABLE),
        (failure(404, "Job not found"), RefusalKind.EXPIRED),
    ],
)
async def test_a_task_without_a_video_says_why(router: Router, reply: Reply, kind: RefusalKind) -> None:
    answer = await router.answer_to(reply)

    assert isinstance(answer, Refused)
    assert answer.kind is kind
    assert "words" not in answer.detail


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (recorded("error", status=400), RefusalKind.PARAMETERS),
        (recorded("moderation", status=403), RefusalKind.CONTENT),
        (failure(400, "Blocked by content policy"), RefusalKind.CONTENT),
    ],
)
async def test_a_refused_order_says_why(router: Router, reply: Reply, kind: RefusalKind) -> None:
    error = await router.error_of(reply)

    assert isinstance(error, RefusedError)
    assert error.refused.kind is kind


@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        (failure(401), BrokenCause.CREDENTIAL),
        (failure(402), BrokenCause.QUOTA),
        (failure(403, "Key limit exceeded"), BrokenCause.CREDENTIAL),
        (failure(404, "No endpoints found"), BrokenCause.MODEL),
        (Reply(status=400, body=b"<html>"), BrokenCause.MODEL),
        (Reply(status=302, headers={"Location": "https://evil.example/"}), BrokenCause.MODEL),
    ],
)
async def test_our_own_faults_say_what_to_mend(router: Router, reply: Reply, cause: BrokenCause) -> None:
    error = await router.error_of(reply)

    assert isinstance(error, BrokenError)
    assert error.cause is cause


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("headers", "seconds"), [({"Retry-After": "7"}, 7), ({}, None)])
async def test_no_free_provider_means_come_back(
    router: Router, status: int, headers: dict[str, str], seconds: float | None
) -> None:
    error = await router.error_of(failure(status, **headers))

    assert isinstance(error, BusyError)
    assert error.retry_after_seconds == seconds


@pytest.mark.parametrize(
    "reply",
    [
        *(failure(status) for status in (408, 500, 502, 504)),
        Reply(status=503, body=b"<html>"),
        Reply(status=202, body={"status": "pending"}),
        Reply(status=202, body={"id": "a/b", "status": "pending"}),
        Reply(status=202, body=b""),
        Reply(fault=Fault.RESET),
    ],
)
async def test_doubt_about_an_order_is_never_taken_for_a_no(router: Router, reply: Reply) -> None:
    assert isinstance(await router.error_of(reply), UnknownError)
    assert len(router.server.seen) == 1


@pytest.mark.parametrize("reply", [failure(502), Reply(body=b"{"), Reply(body={"id": "abc123"})])
async def test_doubt_about_a_task_ends_nothing(router: Router, reply: Reply) -> None:
    with pytest.raises(UnreachableError):
        await router.answer_to(reply)


async def test_without_a_secret_a_callback_is_a_hint_and_proves_nothing(router: Router) -> None:
    body = recorded("callback").payload

    for headers in ({}, {"x-openrouter-signature": "t=1758941485,v1=00"}):
        hint = await router.provider.read_callback(headers, body, model=ORDER.model)
        assert hint == Hint(task_id="abc123", is_authentic=False)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"type": "video.generation.completed"}',
        b'{"type": "video.generation.completed", "data": {"id": "../x"}}',
        b'{"type": "other", "data": {"id": "abc123"}}',
    ],
)
async def test_a_callback_that_names_no_task_is_none(router: Router, body: bytes) -> None:
    assert await router.provider.read_callback({}, body, model=ORDER.model) is None
