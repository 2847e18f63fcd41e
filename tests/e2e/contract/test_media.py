"""The files of a completed video, as a player fetches them."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from tests.e2e.contract.conftest import COMPLETED, History
from tests.e2e.edge.client import Answer

pytestmark = pytest.mark.asyncio(loop_scope="session")

SHAPES = {"minimal": (1280, 720, 5), "full": (496, 864, 4), "frames": (640, 640, 4)}
"""Width and height in pixels, and seconds (ModelArk's table of output sizes)."""
FRAME_SECONDS = 1 / 24
RED, BLUE = (255, 0, 0), (0, 0, 255)
PIECE_BYTES = 10_000
COLOR_TOLERANCE = 24
"""Of 255: what encoding may change."""


async def fetch(history: History, name: str, key: str, **headers: str) -> Answer:
    """Fetches a file of an output without any key: its address is all one needs."""
    url = history.video(name)["output"][key]
    return await history.customer.send("GET", url[url.index("/media/") :], headers=headers)


@contextmanager
def opened(file: bytes) -> Iterator[Any]:
    with av.open(io.BytesIO(file)) as container:
        yield container


@pytest.mark.parametrize("name", COMPLETED)
async def test_a_video_is_what_was_asked_for(history: History, name: str) -> None:
    width, height, seconds = SHAPES[name]

    answer = await fetch(history, name, "video_url")

    assert (answer.status, answer.headers["content-type"]) == (200, "video/mp4")
    with opened(answer.body) as container:
        picture = container.streams.video[0]
        frames = list(container.decode(picture))
        assert {(frame.width, frame.height) for frame in frames} == {(width, height)}
        assert float(picture.duration * picture.time_base) == pytest.approx(seconds, abs=FRAME_SECONDS)
        assert picture.codec_context.name == "h264"
        assert len(container.streams.audio) == (name == "full")


async def test_a_video_can_be_fetched_in_ranges(history: History) -> None:
    whole = (await fetch(history, "minimal", "video_url")).body

    part = await fetch(history, "minimal", "video_url", range="bytes=1000-1999")

    assert (part.status, part.body) == (206, whole[1000:2000])
    assert part.headers["content-range"] == f"bytes 1000-1999/{len(whole)}"


async def test_a_download_in_pieces_is_the_video(history: History) -> None:
    whole = await fetch(history, "minimal", "video_url")
    found = b""
    while True:
        wanted = f"bytes={len(found)}-{len(found) + PIECE_BYTES - 1}"
        part = await fetch(
            history, "minimal", "video_url", range=wanted, **{"if-range": whole.headers["etag"]}
        )
        if part.status == 416:
            break
        assert part.status == 206
        found += part.body

    assert found == whole.body
    assert part.headers["content-range"] == f"bytes */{len(found)}"
    again = await fetch(history, "minimal", "video_url", **{"if-none-match": whole.headers["etag"]})
    assert again.status == 304


@pytest.mark.parametrize(
    ("name", "key"), [(name, "thumbnail_url") for name in COMPLETED] + [("full", "last_frame_url")]
)
async def test_a_picture_of_a_video_has_its_size(history: History, name: str, key: str) -> None:
    answer = await fetch(history, name, key)

    assert (answer.status, answer.headers["content-type"]) == (200, "image/jpeg")
    with Image.open(io.BytesIO(answer.body)) as picture:
        assert picture.size == SHAPES[name][:2]


async def test_a_video_begins_and_ends_with_the_frames_that_were_sent(history: History) -> None:
    answer = await fetch(history, "frames", "video_url")

    with opened(answer.body) as container:
        frames = list(container.decode(video=0))
    for frame, color in ((frames[0], RED), (frames[-1], BLUE)):
        mean = frame.to_ndarray(format="rgb24").mean(axis=(0, 1))
        assert np.abs(mean - color).max() < COLOR_TOLERANCE, mean
