"""Real, tiny video files. Frame n of a clip is one flat colour, so that a picture shows which frame it is."""

from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream
from PIL import Image

RATE = 24


def colour(number: int) -> tuple[int, int, int]:
    """Returns the colour of a frame: two dark steps of red and green in sixteen frames, one of blue per sixteen."""
    return 40 + 12 * (number % 16), 200 - 8 * (number % 16), 40 + 40 * (number // 16)


def make_clip(
    path: Path,
    *,
    width: int = 160,
    height: int = 96,
    frame_count: int = RATE,
    audio: bool = False,
    codec: str = "libx264",
    container: str = "mp4",
    faststart: bool = True,
    options: dict[str, str] | None = None,
) -> Path:
    flags = {"movflags": "+faststart"} if faststart and container in {"mp4", "mov"} else {}
    with av.open(str(path), "w", format=container, options=flags) as output:
        video = output.add_stream(codec, rate=RATE, options=options or {"preset": "ultrafast"})
        assert isinstance(video, VideoStream)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        sound = output.add_stream("aac", rate=44100, layout="mono") if audio else None
        for number in range(frame_count):
            picture = np.full((height, width, 3), colour(number), dtype=np.uint8)
            output.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(video.encode(None))
        if sound is not None:
            encode_silence(output, sound, sample_count=44100 * frame_count // RATE)
    return path


def make_sound(path: Path) -> Path:
    with av.open(str(path), "w", format="mp4") as output:
        encode_silence(output, output.add_stream("aac", rate=44100, layout="mono"), sample_count=44100)
    return path


def encode_silence(output: OutputContainer, stream: AudioStream, *, sample_count: int) -> None:
    for start in range(0, sample_count, 1024):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 44100, start
        output.mux(stream.encode(frame))
    output.mux(stream.encode(None))


def shows_frame(picture: Image.Image, number: int) -> bool:
    """Returns whether a picture is the given frame of a clip, allowing for lossy coding."""
    middle = picture.getpixel((picture.width // 2, picture.height // 2))
    assert isinstance(middle, tuple)
    return all(abs(seen - meant) <= 5 for seen, meant in zip(middle, colour(number), strict=True))
