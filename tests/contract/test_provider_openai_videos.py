"""OpenAI's video API and its dialects, against servers that keep to them."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from services.upstream.pictures import Picture
from services.upstream.provider import (
    BadReference,
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
from services.upstream.providers.openai_videos.adapter import OpenAIVideosProvider
from tests.fakes.faithful_server import KEY
from tests.fakes.openai_videos_server import OpenAIVideosServer
from tests.fakes.provider_server import Fault, Reply
from tests.patience import PATIENCE_SECONDS

RECORDINGS = Path(__file__).parents[1] / "recordings" / "openai_videos"
ORDER = Order(
    model="sora-2",
    prompt="a boat in a storm",
    duration_seconds=8,
    resolution="720p",
    aspect_ratio="9:16",
    generate_audio=True,
    watermark=False,
    return_last_frame=False,
    seed=7,
)
SEEDANCE = replace(
    ORDER,
    model="dreamina-seedance-2-0-260128",
    duration_seconds=5,
    aspect_ratio="21:9",
    generate_audio=False,
    watermark=True,
    image_urls=("https://c.example/1.png",),
    video_urls=("https://c.example/1.mp4",),
    audio_urls=("https://c.example/1.mp3",),
    options={"dialect": "new-api"},
)


@dataclass(frozen=True, kw_only=True)
class Videos:
    server: OpenAIVideosServer
    provider: OpenAIVideosProvider

    async def submit(self, order: Order = ORDER) -> str:
        return await self.provider.submit(
            order,
            correlation_id="att_1",
            callback_url="https://ours.example/cb",
            timeout_seconds=PATIENCE_SECONDS,
        )

    async def check(self, task_id: str) -> Pending | Done | Refused:
        return await self.provider.check(task_id, timeout_seconds=PATIENCE_SECONDS)

    async def answer_to(self, reply: Reply) -> Pending | Done | Refused:
        self.server.will(reply)
        return await self.check("video_1")

    async def error_of(self, reply: Reply) -> UpstreamError:
        self.server.will(reply)
        with pytest.raises(UpstreamError) as caught:
            await self.submit()
        return caught.value


@asynccontextmanager
async def speaking(dialect: str) -> AsyncIterator[Videos]:
    async with OpenAIVideosServer(dialect=dialect) as server, aiohttp.ClientSession() as session:
        provider = OpenAIVideosProvider(session=session, base_url=server.base_url, api_key=KEY)
        yield Videos(server=server, provider=provider)


@pytest.fixture
async def videos() -> AsyncIterator[Videos]:
    async with speaking("openai") as ready:
        yield ready


def recorded(name: str, *, status: int = 200, **headers: str) -> Reply:
    return Reply(status=status, body=(RECORDINGS / f"{name}.json").read_bytes(), headers=headers)


def failure(status: int, code: str | None, *, kind: str = "", parameter: str = "", **headers: str) -> Reply:
    error = {"code": code, "type": kind, "param": parameter, "message": "words"}
    return Reply(status=status, body={"error": error}, headers=headers)


async def test_an_order_says_what_openai_documents_and_no_more(videos: Videos) -> None:
    task_id = await videos.submit()

    assert videos.server.orders[task_id] == {
        "model": "sora-2",
        "prompt": "a boat in a storm",
        "seconds": "8",
        "size": "720x1280",
    }
    assert len(videos.server.seen) == 1


async def test_a_task_is_followed_to_its_video(videos: Videos) -> None:
    task_id = await videos.submit()
    states = []
    for status in ("queued", "in_progress", "something_new", "completed"):
        videos.server.will_be(status, task_id=task_id)
        states.append(await videos.check(task_id))

    *pending, done = states
    assert pending == [Pending(running=False), Pending(running=True), Pending(running=True)]
    assert isinstance(done, Done)
    assert done.video_url == f"{videos.server.base_url}/videos/{task_id}/content"
    assert done.ended_at is not None
    assert videos.provider.media_headers(done.video_url) == {"Authorization": f"Bearer {KEY}"}


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"duration_seconds": 5}, "seconds"),
        ({"resolution": "480p"}, "resolutions"),
        ({"aspect_ratio": "1:1"}, "aspect_ratios"),
        ({"generate_audio": False}, "audio"),
        ({"watermark": True}, "watermark"),
        ({"image_urls": ("https://c.example/1.png",)}, "image_references"),
        ({"end_image_url": "https://c.example/1.png"}, "end_frame"),
    ],
)
async def test_what_a_dialect_cannot_say_is_never_dropped_in_silence(
    videos: Videos, change: dict[str, Any], name: str
) -> None:
    with pytest.raises(BrokenError, match=f"the dialect openai cannot ask for {name}") as caught:
        await videos.submit(replace(ORDER, **change))

    assert caught.value.cause is BrokenCause.MODEL
    assert videos.server.seen == []


async def test_a_gateway_is_asked_for_the_lengths_and_sizes_of_other_models() -> None:
    order = replace(
        ORDER,
        model="runway/seedance2",
        duration_seconds=5,
        aspect_ratio="1:1",
        options={"dialect": "gateway"},
    )
    async with speaking("gateway") as videos:
        task_id = await videos.submit(order)

        assert videos.server.orders[task_id] == {
            "model": "runway/seedance2",
            "prompt": "a boat in a storm",
            "seconds": "5",
            "size": "960x960",
        }


@pytest.mark.parametrize("dialect", ["openai", "gateway"])
async def test_a_first_frame_goes_along_as_a_file(dialect: str) -> None:
    async def load(url: str) -> Picture:
        assert url == "https://c.example/a.png"
        return Picture(content=b"\x89PNG a boat", media_type="image/png")

    order = replace(ORDER, start_image_url="https://c.example/a.png", options={"dialect": dialect})
    async with OpenAIVideosServer(dialect=dialect) as server, aiohttp.ClientSession() as session:
        provider = OpenAIVideosProvider(session=session, base_url=server.base_url, api_key=KEY, load=load)
        task_id = await Videos(server=server, provider=provider).submit(order)

        assert server.orders[task_id] == {
            "model": "sora-2",
            "prompt": "a boat in a storm",
            "seconds": "8",
            "size": "720x1280",
            "input_reference": ("image/png", b"\x89PNG a boat"),
        }


async def test_new_api_is_told_everything_in_its_metadata() -> None:
    async with speaking("new-api") as videos:
        task_id = await videos.submit(SEEDANCE)

        assert videos.server.orders[task_id] == {
            "model": "dreamina-seedance-2-0-260128",
            "prompt": "a boat in a storm",
            "seconds": "5",
            "duration": 5,
            "size": "1470x630",
            "metadata": {
                "resolution": "720p",
                "ratio": "21:9",
                "generate_audio": False,
                "watermark": True,
                "seed": 7,
                "content": [
                    {
                        "type": "image_url",
                        "image_url": {"url": "https://c.example/1.png"},
                        "role": "reference_image",
                    },
                    {
                        "type": "video_url",
                        "video_url": {"url": "https://c.example/1.mp4"},
                        "role": "reference_video",
                    },
                    {
                        "type": "audio_url",
                        "audio_url": {"url": "https://c.example/1.mp3"},
                        "role": "reference_audio",
                    },
                ],
            },
        }


@pytest.mark.parametrize(
    ("name", "task_id"),
    [
        ("created", "video_68d7512d07848190b3e45da0ecbebcde004da08e1e0678d5"),
        ("new_api_created", "task_Qm7VnA1kX0"),
        ("litellm_created", json.loads((RECORDINGS / "litellm_created.json").read_text())["id"]),
        ("bifrost_succeeded", "17b4f2a1-c3d4:runway"),
    ],
)
async def test_the_ids_of_every_gateway_can_be_asked_about(videos: Videos, name: str, task_id: str) -> None:
    videos.server.will(recorded(name), recorded(name))

    assert await videos.submit() == task_id
    await videos.check(task_id)

    assert videos.server.seen[-1].path == f"/v1/videos/{task_id}"


@pytest.mark.parametrize("name", ["new_api_succeeded", "bifrost_succeeded"])
async def test_a_result_elsewhere_is_fetched_there_without_the_credential(videos: Videos, name: str) -> None:
    answer = await videos.answer_to(recorded(name))

    assert isinstance(answer, Done)
    assert answer.video_url.startswith("https://results.example/clip.mp4?")
    assert videos.provider.media_headers(answer.video_url) == {}


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (recorded("failed"), RefusalKind.CONTENT),
        (recorded("new_api_failed"), RefusalKind.CONTENT),
        (recorded("bifrost_filtered"), RefusalKind.CONTENT),
        (
            Reply(body={"status": "failed", "error": {"code": "internal_error", "message": "words"}}),
            RefusalKind.UNAVAILABLE,
        ),
        (Reply(body={"status": "failed", "error": None}), RefusalKind.FAILED),
        (Reply(body={"status": "failed", "error": "words"}), RefusalKind.FAILED),
        (Reply(body={"status": "cancelled"}), RefusalKind.FAILED),
        (Reply(body={"status": "expired"}), RefusalKind.EXPIRED),
        (failure(404, "not_found"), RefusalKind.EXPIRED),
        (
            Reply(status=400, body={"code": "task_not_exist", "message": "task_not_exist"}),
            RefusalKind.EXPIRED,
        ),
    ],
)
async def test_a_task_without_a_video_says_why(videos: Videos, reply: Reply, kind: RefusalKind) -> None:
    answer = await videos.answer_to(reply)

    assert isinstance(answer, Refused)
    assert answer.kind is kind
    assert "words" not in answer.detail


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (recorded("error", status=400), RefusalKind.PARAMETERS),
        (failure(400, "moderation_blocked"), RefusalKind.CONTENT),
        (failure(403, "content_policy_violation"), RefusalKind.CONTENT),
        (failure(400, "InputTextSensitiveContentDetected"), RefusalKind.CONTENT),
        (failure(400, "invalid_image", parameter="input_reference"), RefusalKind.INPUT_MEDIA),
        (failure(422, "something_new"), RefusalKind.PARAMETERS),
    ],
)
async def test_a_refused_order_says_why(videos: Videos, reply: Reply, kind: RefusalKind) -> None:
    error = await videos.error_of(reply)

    assert isinstance(error, RefusedError)
    assert error.refused.kind is kind
    is_reference = kind is RefusalKind.INPUT_MEDIA
    assert error.refused.reference == (
        BadReference(position=0, is_image=True) if is_reference else BadReference()
    )
    assert "words" not in error.detail


@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        (failure(401, "invalid_api_key"), BrokenCause.CREDENTIAL),
        (failure(403, None, kind="permission_error"), BrokenCause.CREDENTIAL),
        (Reply(status=401), BrokenCause.CREDENTIAL),
        (Reply(status=402), BrokenCause.QUOTA),
        (failure(429, "insufficient_quota"), BrokenCause.QUOTA),
        (recorded("new_api_error", status=403), BrokenCause.QUOTA),
        (failure(404, "model_not_found"), BrokenCause.MODEL),
        (failure(400, "model_not_found"), BrokenCause.MODEL),
        (Reply(status=404, body=b"<html>"), BrokenCause.MODEL),
        (Reply(status=307, headers={"Location": "https://evil.example/v1/videos"}), BrokenCause.MODEL),
    ],
)
async def test_our_own_faults_say_what_to_mend(videos: Videos, reply: Reply, cause: BrokenCause) -> None:
    error = await videos.error_of(reply)

    assert isinstance(error, BrokenError)
    assert error.cause is cause


async def test_a_rate_limit_says_when_to_come_back(videos: Videos) -> None:
    error = await videos.error_of(failure(429, "rate_limit_exceeded", **{"Retry-After": "7"}))

    assert isinstance(error, BusyError)
    assert error.retry_after_seconds == 7


@pytest.mark.parametrize(
    "reply",
    [
        *(failure(status, "server_error") for status in (408, 500, 502, 503, 504)),
        Reply(status=502, body=b"<html>"),
        Reply(body={"object": "video"}),
        Reply(body={"id": "../videos?limit=1"}),
        Reply(body={"id": ["video_1"]}),
        Reply(body=b"[]"),
        Reply(fault=Fault.RESET),
        Reply(body={"id": "video_1"}, fault=Fault.TRUNCATE),
    ],
)
async def test_doubt_about_an_order_is_never_taken_for_a_no(videos: Videos, reply: Reply) -> None:
    assert isinstance(await videos.error_of(reply), UnknownError)
    assert len(videos.server.seen) == 1


@pytest.mark.parametrize(
    "reply",
    [
        failure(503, "server_error"),
        Reply(body=b"{"),
        Reply(body={"id": "video_1"}),
        Reply(body={"status": ["completed"]}),
        Reply(body={"status": "completed", "metadata": []}, fault=Fault.TRUNCATE),
    ],
)
async def test_doubt_about_a_task_ends_nothing(videos: Videos, reply: Reply) -> None:
    with pytest.raises(UnreachableError):
        await videos.answer_to(reply)


@pytest.mark.parametrize(
    "odd",
    [
        {"metadata": []},
        {"metadata": {"url": 7}},
        {"videos": [None]},
        {"videos": {}},
        {"completed_at": 10**30},
    ],
)
async def test_odd_members_of_a_finished_task_do_not_lose_its_video(
    videos: Videos, odd: dict[str, Any]
) -> None:
    answer = await videos.answer_to(Reply(body={"status": "completed", **odd}))

    assert answer == Done(video_url=f"{videos.server.base_url}/videos/video_1/content")
