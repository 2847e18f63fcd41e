import io
from pathlib import Path

import av
import pytest
from aiohttp import ClientSession
from PIL import Image

from services.simulator.server import serve_simulator
from tests.integration.simulator.wire import AUTHORIZATION, Caller, settings


async def test_the_video_and_its_last_frame_can_be_downloaded_without_a_key(caller: Caller) -> None:
    task = await caller.succeeded(return_last_frame=True, generate_audio=True)

    video = await caller.video_of(task)
    still = await caller.download(task["content"]["last_frame_url"])

    with av.open(io.BytesIO(video), "r") as container:
        frames = [(frame.width, frame.height) for frame in container.decode(video=0)]
        assert [stream.type for stream in container.streams] == ["video", "audio"]
    assert frames == [(864, 496)] * 96
    assert still.headers["Content-Type"] == "image/png"
    assert Image.open(io.BytesIO(still.content)).size == (864, 496)


async def test_a_part_of_the_video_can_be_asked_for(caller: Caller) -> None:
    url = (await caller.succeeded())["content"]["video_url"]

    whole = await caller.download(url)
    part = await caller.download(url, headers={"Range": "bytes=100-199"})

    assert part.status == 206
    assert part.headers["Content-Range"] == f"bytes 100-199/{len(whole.content)}"
    assert part.content == whole.content[100:200]


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        ("X-Tos-Signature=", "X-Tos-Signature=0", 403),
        ("X-Tos-Date=", "X-Tos-Date=1", 403),
        ("X-Tos-Date=", "X-Tos-Date=x", 403),
        ("X-Tos-Signature=", "X-Tos-Signature=\N{LATIN SMALL LETTER E WITH ACUTE}", 403),
        ("video.mp4", "last_frame.png", 403),
        ("video.mp4", "video.mov", 404),
        ("/media/cgt-", "/media/cgt-0", 404),
    ],
)
async def test_only_a_signed_address_is_served(caller: Caller, old: str, new: str, status: int) -> None:
    url = (await caller.succeeded())["content"]["video_url"]

    answer = await caller.download(url.replace(old, new))

    assert answer.status == status
    assert "X-Request-Id" in answer.headers


async def test_an_address_expires_after_a_day(session: ClientSession, folder: Path) -> None:
    now = [1_769_574_896.0]
    async with serve_simulator(settings(folder=folder), clock=lambda: now[0]) as running:
        caller = Caller(session, running.url)
        url = (await caller.succeeded())["content"]["video_url"]
        statuses = []
        for hours in (0, 24, 1):
            now[0] += hours * 3_600
            statuses.append((await caller.download(url)).status)

    assert statuses == [200, 200, 403]


async def test_a_video_can_be_downloaded_a_hundred_times(caller: Caller) -> None:
    content = (await caller.succeeded(return_last_frame=True))["content"]

    statuses = [(await caller.download(content["video_url"])).status for _ in range(101)]

    assert statuses == [200] * 100 + [403]
    assert (await caller.download(content["last_frame_url"])).status == 200


async def test_a_key_sent_to_the_media_address_is_counted(caller: Caller) -> None:
    url = (await caller.succeeded())["content"]["video_url"]
    counts = []
    for headers in ({}, AUTHORIZATION):
        assert (await caller.download(url, headers=headers)).status == 200
        state = await caller.ask("GET", "/_control/state", headers={})
        counts.append((state.json["counts"]["media"], state.json["counts"]["media_with_authorization"]))

    assert counts == [(1, 0), (2, 1)]


async def test_addresses_start_with_the_public_one(session: ClientSession, folder: Path) -> None:
    async with serve_simulator(settings(folder=folder, public_url="https://media.example/x/")) as running:
        task = await Caller(session, running.url).succeeded()

    assert task["content"]["video_url"].startswith(f"https://media.example/x/media/{task['id']}/video.mp4?")
