import base64
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from PIL import Image

from services.simulator.server import serve_simulator
from services.simulator.settings import Mode
from tests.integration.simulator.wire import Caller, Json, settings


def png(colour: str, size: tuple[int, int] = (640, 480)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


def image(url: str, role: str) -> Json:
    return {"type": "image_url", "image_url": {"url": url}, "role": role}


def data_url(file: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(file).decode()}"


def colours(video: bytes) -> list[Any]:
    with av.open(io.BytesIO(video), "r") as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return [np.asarray(frame).mean(axis=(0, 1)).round().tolist() for frame in (frames[0], frames[-1])]


@pytest.fixture
async def renderer(session: ClientSession, tmp_path: Path) -> AsyncIterator[Caller]:
    opened = settings(folder=tmp_path, mode=Mode.RENDER, private_targets_allowed="127.0.0.0/8")
    async with serve_simulator(opened) as running:
        yield Caller(session, running.url)


@pytest.fixture
async def images() -> AsyncIterator[str]:
    async def red(_: web.Request) -> web.Response:
        return web.Response(body=png("red"), content_type="image/png")

    async def moved(_: web.Request) -> web.Response:
        raise web.HTTPFound("/red.png")

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(2**20))

    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<html>")

    app = web.Application()
    app.router.add_get("/red.png", red)
    app.router.add_get("/moved.png", moved)
    app.router.add_get("/endless.png", endless)
    app.router.add_get("/page.png", page)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


async def test_fetched_images_become_the_first_and_last_frame(renderer: Caller, images: str) -> None:
    media = [image(f"{images}/red.png", "first_frame"), image(data_url(png("blue")), "last_frame")]

    task = await renderer.succeeded(media=media)
    first, last = colours(await renderer.video_of(task))

    assert first == pytest.approx([255, 0, 0], abs=5)
    assert last == pytest.approx([0, 0, 255], abs=5)


async def test_an_adaptive_ratio_follows_the_first_image(renderer: Caller, images: str) -> None:
    media = [
        image(f"{images}/red.png", "reference_image"),
        image(data_url(png("blue", (300, 900))), "reference_image"),
    ]

    task = await renderer.succeeded(media=media, ratio="adaptive")

    assert (task["status"], task["ratio"]) == ("succeeded", "4:3")
    assert task["usage"]["total_tokens"] == 752 * 560 * 24 * 4 // 1024


async def test_an_adaptive_ratio_without_an_image_is_wide(caller: Caller) -> None:
    assert (await caller.succeeded(ratio="adaptive"))["ratio"] == "16:9"


UNREADABLE = ["{images}/page.png", "data:image/png;base64,AAAA"]


@pytest.mark.parametrize(
    "url",
    [
        *UNREADABLE,
        "{images}/missing.png",
        "{images}/moved.png",
        "http://127.0.0.1:9/red.png",
        "data:image/png;base64,not base64",
    ],
)
async def test_an_image_that_cannot_be_had_fails_the_task(renderer: Caller, images: str, url: str) -> None:
    task = await renderer.succeeded(media=[image(url.format(images=images), "reference_image")])

    fetched = url in UNREADABLE
    code = "InvalidImageURL.InvalidFormat" if fetched else "InvalidParameter"
    reason = "the image could not be parsed" if fetched else "resource download failed"
    assert (task["status"], task["error"]["code"]) == ("failed", code)
    assert task["error"]["message"].startswith(
        f"The parameter `content[1].image_url` specified in the request is not valid: {reason}"
    )


async def test_an_image_that_never_ends_is_too_large(renderer: Caller, images: str) -> None:
    media = [image(f"{images}/red.png", "reference_image"), image(f"{images}/endless.png", "reference_image")]
    task = await renderer.succeeded(media=media)

    assert (task["status"], task["error"]["code"]) == ("failed", "InvalidParameter")
    assert "`content[2].image_url`" in task["error"]["message"]
    assert "must be at most 30000000 bytes" in task["error"]["message"]


async def test_an_image_is_fetched_from_no_private_address_unless_it_is_opened(
    session: ClientSession, images: str, tmp_path: Path
) -> None:
    async with serve_simulator(
        settings(folder=tmp_path, mode=Mode.RENDER, private_targets_allowed="")
    ) as running:
        media = [image(f"{images}/red.png", "reference_image")]
        task = await Caller(session, running.url).succeeded(media=media)

    assert (task["status"], task["error"]["code"]) == ("failed", "InvalidParameter")
    assert "its address must not point to a private address." in task["error"]["message"]


async def test_an_image_of_too_many_pixels_is_refused(renderer: Caller) -> None:
    task = await renderer.succeeded(media=[image(data_url(png("red", (6_001, 1))), "first_frame")])

    assert "6000 pixels" in task["error"]["message"]
