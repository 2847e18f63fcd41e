"""Real videos, decoded again."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av import AudioStream, VideoStream
from PIL import Image

from services.simulator.lettering import caption, watermark
from services.simulator.render import Clip, RenderCancelledError, render_clip
from services.simulator.sizes import SIZES, frame_size

Picture = np.ndarray[Any, np.dtype[np.int_]]

SIZE = {"width": 864, "height": 496}
PROMPT = "A lighthouse in a storm"


def clip(**changes: Any) -> Clip:
    plain: dict[str, Any] = {
        "prompt": PROMPT,
        "seed": 7,
        "duration_seconds": 1,
        "audio": False,
        "watermark": False,
    }
    return Clip(**(plain | SIZE | changes))


def rendered(wanted: Clip, folder: Path, name: str = "video.mp4") -> Path:
    render_clip(wanted, video=folder / name, still=None, cancelled=lambda: False)
    return folder / name


def pictures(video: Path) -> list[Picture]:
    with av.open(video) as container:
        return [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]


def difference(one: Picture, other: Picture) -> float:
    return float(np.abs(one - other).mean())


def boxes(video: Path) -> Iterator[str]:
    """Names of the outermost MP4 boxes, in order."""
    content, position = video.read_bytes(), 0
    while position < len(content):
        yield content[position + 4 : position + 8].decode()
        position += int.from_bytes(content[position : position + 4])


def length(stream: AudioStream | VideoStream) -> Fraction:
    assert stream.duration is not None
    assert stream.time_base is not None
    return stream.duration * stream.time_base


def gradient(red: int, size: tuple[int, int] = (800, 600)) -> Image.Image:
    rows, columns = np.mgrid[0 : size[1], 0 : size[0]]
    return Image.fromarray(
        np.stack([rows * 0 + red, rows * 255 // size[1], columns * 255 // size[0]], -1).astype("u1")
    )


@pytest.mark.parametrize("ratio", SIZES)
@pytest.mark.parametrize("resolution", ["480p", "720p", "1080p"])
def test_every_size_of_the_table_is_rendered_exactly(resolution: str, ratio: str, tmp_path: Path) -> None:
    width, height = frame_size(resolution, ratio)

    video = rendered(clip(width=width, height=height), tmp_path)

    with av.open(video) as container:
        stream = container.streams.video[0]
        frames = [(frame.width, frame.height) for frame in container.decode(stream)]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == 24
        assert frames == [(width, height)] * 24
    assert list(boxes(video)).index("moov") < list(boxes(video)).index("mdat")


def test_picture_and_sound_last_exactly_as_long_as_asked(tmp_path: Path) -> None:
    seconds = 5

    video = rendered(clip(duration_seconds=seconds, audio=True), tmp_path)

    with av.open(video) as container:
        picture, sound = container.streams.video[0], container.streams.audio[0]
        assert (sound.codec_context.name, sound.layout.name) == ("aac", "mono")
        assert picture.frames == seconds * 24
        assert length(picture) == seconds
        assert abs(length(sound) - seconds) <= Fraction(1024, 48_000)
        samples = sum(frame.samples for frame in container.decode(audio=0))
        assert 0 <= samples - seconds * 48_000 <= 1024


def test_there_is_no_sound_unless_asked(tmp_path: Path) -> None:
    with av.open(rendered(clip(), tmp_path)) as container:
        assert len(container.streams.audio) == 0


def test_a_key_frame_comes_every_second(tmp_path: Path) -> None:
    with av.open(rendered(clip(duration_seconds=4), tmp_path)) as container:
        keys = [index for index, frame in enumerate(container.decode(video=0)) if frame.key_frame]

    assert keys == [0, 24, 48, 72]


def test_the_same_clip_gives_the_same_bytes_and_another_seed_another_picture(tmp_path: Path) -> None:
    first = rendered(clip(audio=True), tmp_path, "first.mp4")
    again = rendered(clip(audio=True), tmp_path, "again.mp4")
    other = rendered(clip(audio=True, seed=8), tmp_path, "other.mp4")

    assert first.read_bytes() == again.read_bytes()
    assert difference(pictures(first)[0], pictures(other)[0]) > 10


def test_the_prompt_is_legible_in_every_frame(tmp_path: Path) -> None:
    text = np.asarray(caption(PROMPT, **SIZE)).astype(int)
    letters = (text[..., :3] > 250).all(axis=-1)
    backing = (text[..., 3] > 0) & (text[..., :3] < 20).all(axis=-1)

    for picture in pictures(rendered(clip(), tmp_path)):
        brightness = picture.mean(axis=-1)
        assert np.percentile(brightness[letters], 5) - np.percentile(brightness[backing], 95) > 60


def test_another_prompt_is_written_differently(tmp_path: Path) -> None:
    masks = [
        np.asarray(caption(prompt, **SIZE))[..., 0] > 250 for prompt in (PROMPT, "A lighthouse in a storn")
    ]

    assert (masks[0] != masks[1]).sum() > 20


def test_first_and_last_frame_are_the_given_images(tmp_path: Path) -> None:
    start, end = gradient(250), gradient(10)

    shown = pictures(rendered(clip(first_frame=start, last_frame=end, duration_seconds=2), tmp_path))

    # 800 by 600 covers 864 by 496 when it is enlarged to 864 by 648 and 76 rows are cut off above and below.
    wanted = [np.asarray(image.resize((864, 648)))[76:572].astype(int) for image in (start, end)]
    assert difference(shown[0], wanted[0]) < 3
    assert difference(shown[-1], wanted[1]) < 3
    reds = [picture[:300, :, 0].mean() for picture in shown]
    assert reds[6] > reds[18] > reds[30] > reds[42]
    assert 100 < reds[24] < 160


def test_a_lone_first_frame_is_the_given_image_and_then_comes_alive(tmp_path: Path) -> None:
    start = gradient(250, (864, 496))

    shown = pictures(rendered(clip(first_frame=start), tmp_path))

    assert difference(shown[0], np.asarray(start).astype(int)) < 3
    assert difference(shown[-1], shown[0]) > 10


def test_reference_images_are_shown_side_by_side(tmp_path: Path) -> None:
    references = tuple(Image.new("RGB", (500, 300), colour) for colour in ("red", "lime", "blue"))

    picture = pictures(rendered(clip(references=references), tmp_path))[12]

    for position, channel in enumerate((0, 1, 2)):
        left, side = 17 + position * (119 + 8), 119
        thumbnail = picture[17 : 17 + side, left : left + side].mean(axis=(0, 1))
        assert thumbnail.argmax() == channel
        assert thumbnail.max() > 220


def test_the_watermark_is_in_the_video_when_asked_and_never_in_the_last_frame(tmp_path: Path) -> None:
    stills = [tmp_path / f"{name}.png" for name in ("plain", "marked")]
    videos = [still.with_suffix(".mp4") for still in stills]
    for video, still, mark in zip(videos, stills, (False, True), strict=True):
        render_clip(clip(watermark=mark), video=video, still=still, cancelled=lambda: False)

    left, top, right, bottom = watermark(**SIZE).getbbox() or (0, 0, 0, 0)
    for plain, marked in zip(pictures(videos[0]), pictures(videos[1]), strict=True):
        assert difference(plain[top:bottom, left:right], marked[top:bottom, left:right]) > 15
        assert difference(plain[: top - 16], marked[: top - 16]) < 0.5
    assert left > 864 * 0.7
    assert top > 496 * 0.9
    last = [np.asarray(Image.open(still)).astype(int) for still in stills]
    assert np.array_equal(last[0], last[1])
    assert difference(last[0], pictures(videos[0])[-1]) < 3


def test_a_render_can_be_cancelled_between_frames(tmp_path: Path) -> None:
    asked = iter([False, False, True])

    with pytest.raises(RenderCancelledError):
        render_clip(clip(), video=tmp_path / "video.mp4", still=None, cancelled=lambda: next(asked))
