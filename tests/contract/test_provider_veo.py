"""Veo, against a server that keeps to the Gemini API."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from services.upstream.pictures import LOADS_AT_ONCE_MAX, PICTURE_BYTES_MAX, Picture, UnusablePictureError
from services.upstream.provider import (
    BadReference,
    BrokenCause,
    BrokenError,
    BusyError,
    Done,
    Order,
    Pending,
    ReferenceFault,
    RefusalKind,
    Refused,
    RefusedError,
    UnknownError,
    UnreachableError,
    UpstreamError,
)
from services.upstream.providers.veo.adapter import VeoProvider
from tests.fakes.faithful_server import KEY
from tests.fakes.provider_server import Fault, Reply
from tests.fakes.veo_server import VeoServer
from tests.patience import PATIENCE_SECONDS

RECORDINGS = Path(__file__).parents[1] / "recordings" / "veo"
OPERATION = "models/veo-3.1-generate-preview/operations/abc123"
ORDER = Order(
    model="veo-3.1-generate-preview",
    prompt="a boat in a storm",
    duration_seconds=8,
    resolution="1080p",
    aspect_ratio="16:9",
    generate_audio=True,
    watermark=False,
    return_last_frame=False,
    seed=7,
)


@dataclass(frozen=True, kw_only=True)
class Veo:
    server: VeoServer
    provider: VeoProvider

    async def submit(self, order: Order = ORDER) -> str:
        return await self.provider.submit(
            order, correlation_id="att_1", callback_url=None, timeout_seconds=PATIENCE_SECONDS
        )

    async def check(self) -> Pending | Done | Refused:
        return await self.provider.check(OPERATION, timeout_seconds=PATIENCE_SECONDS)

    async def answer_to(self, reply: Reply) -> Pending | Done | Refused:
        self.server.will(reply)
        return await self.check()

    async def error_of(self, reply: Reply) -> UpstreamError:
        self.server.will(reply)
        with pytest.raises(UpstreamError) as caught:
            await self.submit()
        return caught.value


@pytest.fixture
async def veo() -> AsyncIterator[Veo]:
    async with VeoServer() as server, aiohttp.ClientSession() as session:
        provider = VeoProvider(session=session, base_url=server.base_url, api_key=KEY)
        yield Veo(server=server, provider=provider)


def recorded(name: str, *, status: int = 200) -> Reply:
    return Reply(status=status, body=(RECORDINGS / f"{name}.json").read_bytes())


def failure(status: int, name: str, message: str = "words") -> Reply:
    return Reply(status=status, body={"error": {"code": status, "status": name, "message": message}})


def ended(**error: Any) -> Reply:
    return Reply(body={"name": OPERATION, "done": True, "error": error})


async def test_an_order_is_a_long_running_prediction(veo: Veo) -> None:
    assert await veo.submit() == OPERATION
    assert veo.server.orders[OPERATION] == {
        "instances": [{"prompt": "a boat in a storm"}],
        "parameters": {
            "aspectRatio": "16:9",
            "durationSeconds": 8,
            "resolution": "1080p",
            "sampleCount": 1,
        },
    }
    assert len(veo.server.seen) == 1


async def test_a_route_may_say_which_people_are_shown(veo: Veo) -> None:
    await veo.submit(replace(ORDER, options={"person_generation": "allow_adult"}))

    assert veo.server.orders[OPERATION]["parameters"]["personGeneration"] == "allow_adult"


async def test_pictures_are_fetched_and_sent_as_bytes() -> None:
    pictures = {
        "https://c.example/a.png": Picture(content=b"first", media_type="image/png"),
        "https://c.example/b.jpg": Picture(content=b"last", media_type="image/jpeg"),
        "https://c.example/c.png": Picture(content=b"like this", media_type="image/png"),
    }

    async def load(url: str) -> Picture:
        return pictures[url]

    first, last, like = (
        {"bytesBase64Encoded": b64encode(each.content).decode(), "mimeType": each.media_type}
        for each in pictures.values()
    )
    async with VeoServer() as server, aiohttp.ClientSession() as session:
        provider = VeoProvider(session=session, base_url=server.base_url, api_key=KEY, load=load)
        veo = Veo(server=server, provider=provider)
        urls = tuple(pictures)
        framed = await veo.submit(replace(ORDER, start_image_url=urls[0], end_image_url=urls[1]))
        alike = await veo.submit(replace(ORDER, image_urls=urls[2:]))

        assert server.orders[framed]["instances"] == [
            {"prompt": ORDER.prompt, "image": first, "lastFrame": last}
        ]
        assert server.orders[alike]["instances"] == [
            {"prompt": ORDER.prompt, "referenceImages": [{"image": like, "referenceType": "asset"}]}
        ]


@pytest.mark.parametrize(
    ("second", "fault"),
    [
        (UnusablePictureError(ReferenceFault.NOT_FETCHED), ReferenceFault.NOT_FETCHED),
        (UnusablePictureError(ReferenceFault.NOT_READABLE), ReferenceFault.NOT_READABLE),
        (
            Picture(content=b"x" * PICTURE_BYTES_MAX, media_type="image/png"),
            ReferenceFault.OUT_OF_BOUNDS,
        ),
        (None, ReferenceFault.NOT_FETCHED),
    ],
    ids=["gone", "unreadable", "too large together", "too slow"],
)
async def test_a_picture_that_cannot_be_had_is_named_and_nothing_is_sent(
    second: Picture | UnusablePictureError | None, fault: ReferenceFault
) -> None:
    async def load(url: str) -> Picture:
        if url.endswith("1"):
            return Picture(content=b"fine", media_type="image/png")
        if second is None:
            await asyncio.Event().wait()
        assert second is not None
        if isinstance(second, UnusablePictureError):
            raise second
        return second

    order = replace(ORDER, image_urls=("https://c.example/1", "https://c.example/2"))
    async with VeoServer() as server, aiohttp.ClientSession() as session:
        provider = VeoProvider(session=session, base_url=server.base_url, api_key=KEY, load=load)
        with pytest.raises(RefusedError) as caught:
            await provider.submit(order, correlation_id="att_1", callback_url=None, timeout_seconds=0.2)

    refused = caught.value.refused
    assert refused.kind is RefusalKind.INPUT_MEDIA
    assert refused.reference == BadReference(position=1, is_image=True, fault=fault)
    assert server.seen == []


async def test_no_more_pictures_are_held_at_once_than_fit_and_other_orders_go_on() -> None:
    may_load = asyncio.Event()

    async def load(_url: str) -> Picture:
        await may_load.wait()
        return Picture(content=b"fine", media_type="image/png")

    order = replace(ORDER, image_urls=("https://c.example/1",))
    async with VeoServer() as server, aiohttp.ClientSession() as session:
        provider = VeoProvider(session=session, base_url=server.base_url, api_key=KEY, load=load)
        veo = Veo(server=server, provider=provider)
        held = [asyncio.create_task(veo.submit(order)) for _ in range(LOADS_AT_ONCE_MAX)]
        await asyncio.sleep(0)
        with pytest.raises(BusyError):
            await veo.submit(order)
        await veo.submit()
        may_load.set()
        await asyncio.gather(*held)

    assert len(server.orders) == LOADS_AT_ONCE_MAX + 1


async def test_an_operation_is_followed_to_its_video(veo: Veo) -> None:
    await veo.submit()
    pending = await veo.check()
    veo.server.finish(OPERATION)
    done = await veo.check()

    assert pending == Pending(running=True)
    assert done == Done(video_url=f"{veo.server.base_url}/files/xyz:download?alt=media")
    assert isinstance(done, Done)
    assert veo.provider.media_headers(done.video_url) == {"x-goog-api-key": KEY}
    assert veo.provider.media_headers("https://storage.example/xyz?sig=1") == {}


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (recorded("filtered"), RefusalKind.CONTENT),
        (recorded("failed"), RefusalKind.UNAVAILABLE),
        (ended(code=3, message="words"), RefusalKind.PARAMETERS),
        (ended(code=3, message="The prompt violates our usage guidelines."), RefusalKind.CONTENT),
        (ended(code=7, message="words"), RefusalKind.UNAVAILABLE),
        (ended(code=8, message="words"), RefusalKind.UNAVAILABLE),
        (ended(code=14, message="words"), RefusalKind.UNAVAILABLE),
        (ended(code=2, message="words"), RefusalKind.FAILED),
        (ended(code="13", message=["words"]), RefusalKind.FAILED),
        (Reply(body={"name": OPERATION, "done": True}), RefusalKind.UNAVAILABLE),
        (Reply(body={"name": OPERATION, "done": True, "response": []}), RefusalKind.UNAVAILABLE),
        (
            Reply(
                body={
                    "name": OPERATION,
                    "done": True,
                    "response": {"generateVideoResponse": {"generatedSamples": [{"video": {"uri": 7}}]}},
                }
            ),
            RefusalKind.UNAVAILABLE,
        ),
        (failure(404, "NOT_FOUND"), RefusalKind.EXPIRED),
    ],
)
async def test_an_operation_without_a_video_says_why(veo: Veo, reply: Reply, kind: RefusalKind) -> None:
    answer = await veo.answer_to(reply)

    assert isinstance(answer, Refused)
    assert answer.kind is kind
    assert "words" not in answer.detail


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (recorded("error", status=400), RefusalKind.PARAMETERS),
        (
            failure(400, "INVALID_ARGUMENT", "The prompt was blocked for safety reasons."),
            RefusalKind.CONTENT,
        ),
    ],
)
async def test_a_refused_order_says_why(veo: Veo, reply: Reply, kind: RefusalKind) -> None:
    error = await veo.error_of(reply)

    assert isinstance(error, RefusedError)
    assert error.refused.kind is kind


@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        (recorded("wrong_key", status=400), BrokenCause.CREDENTIAL),
        (failure(401, "UNAUTHENTICATED"), BrokenCause.CREDENTIAL),
        (failure(403, "PERMISSION_DENIED"), BrokenCause.CREDENTIAL),
        (failure(400, "FAILED_PRECONDITION"), BrokenCause.QUOTA),
        (failure(404, "NOT_FOUND"), BrokenCause.MODEL),
        (Reply(status=400, body=b"<html>"), BrokenCause.MODEL),
    ],
)
async def test_our_own_faults_say_what_to_mend(veo: Veo, reply: Reply, cause: BrokenCause) -> None:
    error = await veo.error_of(reply)

    assert isinstance(error, BrokenError)
    assert error.cause is cause


async def test_a_key_that_is_wrong_is_never_taken_for_a_fault_of_the_order() -> None:
    async with VeoServer() as server, aiohttp.ClientSession() as session:
        provider = VeoProvider(session=session, base_url=server.base_url, api_key="another")

        with pytest.raises(BrokenError) as caught:
            await Veo(server=server, provider=provider).submit()

    assert caught.value.cause is BrokenCause.CREDENTIAL


@pytest.mark.parametrize(
    ("reply", "seconds"),
    [
        (recorded("exhausted", status=429), 34),
        (failure(429, "RESOURCE_EXHAUSTED"), None),
        (failure(503, "UNAVAILABLE"), None),
    ],
)
async def test_no_capacity_means_come_back(veo: Veo, reply: Reply, seconds: float | None) -> None:
    error = await veo.error_of(reply)

    assert isinstance(error, BusyError)
    assert error.retry_after_seconds == seconds


@pytest.mark.parametrize(
    "reply",
    [
        failure(500, "INTERNAL"),
        failure(504, "DEADLINE_EXCEEDED"),
        Reply(status=503, body=b"<html>"),
        Reply(body={}),
        Reply(body={"name": "operations/abc123"}),
        Reply(body={"name": "models/../operations/abc123"}),
        Reply(body={"name": "models/veo/operations/abc?alt=media"}),
        Reply(body={"name": "https://evil.example/models/veo/operations/abc"}),
        Reply(fault=Fault.RESET),
    ],
)
async def test_doubt_about_an_order_is_never_taken_for_a_no(veo: Veo, reply: Reply) -> None:
    assert isinstance(await veo.error_of(reply), UnknownError)
    assert len(veo.server.seen) == 1


@pytest.mark.parametrize(
    "reply", [failure(503, "UNAVAILABLE"), Reply(body=b"{"), Reply(body={"done": True}), Reply(body=[])]
)
async def test_doubt_about_an_operation_ends_nothing(veo: Veo, reply: Reply) -> None:
    with pytest.raises(UnreachableError):
        await veo.answer_to(reply)
