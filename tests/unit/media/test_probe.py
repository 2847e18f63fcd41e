import io
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from services.media import probe as probing
from services.media.errors import MediaRejectedError
from services.media.limits import MediaLimits
from services.media.probe import POSTER_SIDE_MAX
from services.media.probed import Probed
from tests.unit.media.clips import make_clip, make_sound, shows_frame

LIMITS = MediaLimits()


def probe(path: Path, *, want_last_frame: bool, limits: MediaLimits) -> Probed:
    with path.open("rb") as file:
        return probing.probe(file.fileno(), want_last_frame=want_last_frame, limits=limits)


def rejection(path: Path, *, want_last_frame: bool = False, limits: MediaLimits = LIMITS) -> str:
    with pytest.raises(MediaRejectedError) as caught:
        probe(path, want_last_frame=want_last_frame, limits=limits)
    return caught.value.detail


@pytest.mark.parametrize("audio", [False, True])
def test_a_real_video_is_measured(tmp_path: Path, audio: bool) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frame_count=36, audio=audio)

    probed = probe(clip, want_last_frame=False, limits=LIMITS)

    assert (probed.width, probed.height) == (160, 96)
    assert probed.duration_seconds == pytest.approx(1.5)
    assert probed.last_frame_jpeg is None


def test_h265_is_a_video_too(tmp_path: Path) -> None:
    options = {"preset": "ultrafast", "x265-params": "log-level=none"}
    clip = make_clip(tmp_path / "clip.mp4", frame_count=4, codec="libx265", options=options)

    assert probe(clip, want_last_frame=True, limits=LIMITS).width == 160


@pytest.mark.parametrize(
    "options",
    [{"preset": "ultrafast"}, {"preset": "medium", "bf": "3"}, {"preset": "medium", "g": "16"}, {"g": "1"}],
    ids=["no b-frames", "b-frames", "many key frames", "only key frames"],
)
def test_pictures_are_the_first_and_the_very_last_frame(tmp_path: Path, options: dict[str, str]) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frame_count=60, options=options)

    probed = probe(clip, want_last_frame=True, limits=LIMITS)

    assert probed.last_frame_jpeg is not None
    for jpeg, number in ((probed.poster_jpeg, 0), (probed.last_frame_jpeg, 59)):
        picture = Image.open(io.BytesIO(jpeg))
        assert picture.format == "JPEG"
        assert picture.size == (160, 96)
        assert shows_frame(picture, number)


def test_poster_of_a_large_video_is_scaled_down_and_its_last_frame_is_not(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", width=1600, height=160, frame_count=2)

    probed = probe(clip, want_last_frame=True, limits=LIMITS)

    assert probed.last_frame_jpeg is not None
    assert Image.open(io.BytesIO(probed.poster_jpeg)).size == (POSTER_SIDE_MAX, 128)
    assert Image.open(io.BytesIO(probed.last_frame_jpeg)).size == (1600, 160)


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x00\x00\x00\x18", b"#EXTM3U\nfile:///etc/passwd\n"])
def test_bytes_that_are_no_container_are_rejected(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "file.mp4"
    file.write_bytes(content)

    assert "no ftyp box" in rejection(file)


@pytest.mark.parametrize(("container", "codec"), [("webm", "libvpx"), ("matroska", "libx264")])
def test_other_containers_are_rejected(tmp_path: Path, container: str, codec: str) -> None:
    options = {"deadline": "realtime"} if codec == "libvpx" else None
    clip = make_clip(tmp_path / "clip.mp4", container=container, codec=codec, frame_count=2, options=options)

    assert "no ftyp box" in rejection(clip)


def test_quicktime_is_rejected_by_its_brand(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", container="mov", frame_count=2)

    assert "brand b'qt  '" in rejection(clip)


def test_picture_in_an_mp4_family_box_is_rejected(tmp_path: Path) -> None:
    picture = tmp_path / "picture.mp4"
    Image.new("RGB", (64, 64)).save(picture, "AVIF")

    assert "brand b'avif'" in rejection(picture)


def test_sound_alone_is_rejected(tmp_path: Path) -> None:
    assert rejection(make_sound(tmp_path / "sound.mp4")) == "no video stream"


def test_codec_nobody_knows_is_rejected(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frame_count=2)
    before, found, after = clip.read_bytes().partition(b"stsd")
    clip.write_bytes(before + found + after.replace(b"avc1", b"zzz1", 1))

    assert rejection(clip).startswith("codec None")


def test_codec_that_browsers_do_not_play_is_rejected(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frame_count=2, codec="mpeg4", options={"b": "500k"})

    assert rejection(clip).startswith("codec mpeg4")


@pytest.mark.parametrize(("faststart", "missing"), [(True, 1), (True, 400), (False, 400)])
def test_truncated_video_is_rejected(tmp_path: Path, faststart: bool, missing: int) -> None:
    clip = make_clip(tmp_path / "clip.mp4", faststart=faststart, audio=True)
    clip.write_bytes(clip.read_bytes()[:-missing])

    assert rejection(clip).startswith(("cut off", "undecodable"))


def test_undecodable_picture_is_rejected(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frame_count=2, faststart=False)
    whole = bytearray(clip.read_bytes())
    start = whole.index(b"mdat") + 4
    whole[start : whole.index(b"moov") - 4] = b"\xff" * (whole.index(b"moov") - 4 - start)
    clip.write_bytes(bytes(whole))

    assert rejection(clip)


def test_more_pixels_than_allowed_are_rejected_before_decoding(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", width=4112, height=2304, frame_count=1)

    assert rejection(clip) == "4112x2304 pixels"


def test_video_that_grows_beyond_its_header_is_rejected(tmp_path: Path) -> None:
    clip = make_growing_clip(tmp_path / "clip.mp4")
    limits = replace(LIMITS, pixel_count_max=200 * 200)

    assert probe(clip, want_last_frame=False, limits=limits).width == 160
    assert rejection(clip, want_last_frame=True, limits=limits).startswith("undecodable")


@pytest.mark.parametrize(
    ("limits", "detail"),
    [
        (replace(LIMITS, duration_seconds_max=0.5), "1.000 seconds"),
        (replace(LIMITS, sample_count_max=23), "too many samples"),
        (replace(LIMITS, decode_timeout_seconds=0.0), "decoding takes too long"),
    ],
)
def test_limits_are_kept(tmp_path: Path, limits: MediaLimits, detail: str) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frame_count=24)

    assert rejection(clip, want_last_frame=True, limits=limits) == detail


def test_damaged_bytes_are_rejected_or_read_but_nothing_else(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "clip.mp4", frame_count=6, audio=True).read_bytes()
    damaged = tmp_path / "damaged.mp4"
    rejected = 0
    for position in range(0, len(whole), 11):
        damaged.write_bytes(whole[:position] + b"\xff" + whole[position + 1 :])
        try:
            probe(damaged, want_last_frame=True, limits=LIMITS)
        except MediaRejectedError:
            rejected += 1

    assert 0 < rejected < len(whole) / 11


def make_growing_clip(path: Path) -> Path:
    with av.open(str(path), "w", format="mp4") as output:
        small = output.add_stream("libx264", rate=24, options={"preset": "ultrafast"})
        small.width, small.height, small.pix_fmt = 160, 96, "yuv420p"
        output.mux(small.encode(blank(160, 96, pts=0)))
        output.mux(small.encode(None))
        large = av.CodecContext.create("libx264", "w")
        assert isinstance(large, av.VideoCodecContext)
        large.width, large.height, large.pix_fmt, large.time_base = 640, 480, "yuv420p", Fraction(1, 24)
        for packet in [*large.encode(blank(640, 480, pts=1)), *large.encode(None)]:
            packet.stream = small
            packet.pts, packet.dts = 512, 512
            output.mux(packet)
    return path


def blank(width: int, height: int, *, pts: int) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(np.zeros((height, width, 3), dtype=np.uint8), format="rgb24")
    frame.pts = pts
    return frame
