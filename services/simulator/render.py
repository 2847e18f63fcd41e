from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import numpy as np
from av import AudioFrame, AudioStream, VideoFrame, VideoStream
from av.container import OutputContainer
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, VideoReformatter
from PIL import Image, ImageOps

from services.simulator.chord import SAMPLE_RATE, chord
from services.simulator.imagery import Scene
from services.simulator.lettering import caption, strip, watermark
from services.simulator.planes import PIXEL_FORMAT, Layer, Planes, fade, planes_of, to_video_frame
from services.simulator.sizes import FRAMES_PER_SECOND, RATE_FACTOR

# One thread and the cheapest preset: the same clip gives the same bytes, and a core is left for others.
H264_OPTIONS: Final = {"preset": "ultrafast", "threads": "1"}
AUDIO_BITS_PER_SECOND: Final = 96_000
CAPTION_FADE_FRAMES: Final = 12
FIRST_FRAME_SHARE: Final = 0.45


class RenderCancelledError(Exception):
    """The simulator is stopping and the clip is not needed."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """Everything a rendered video depends on."""

    prompt: str
    seed: int
    width: int
    height: int
    duration_seconds: int
    audio: bool
    watermark: bool
    rate_factor: int = RATE_FACTOR
    """x264's constant rate factor: less is better and larger."""
    first_frame: Image.Image | None = None
    last_frame: Image.Image | None = None
    references: tuple[Image.Image, ...] = ()


def render_clip(clip: Clip, *, video: Path, still: Path | None, cancelled: Callable[[], bool]) -> None:
    """Writes the clip as MP4 and, when asked, its last frame without watermark as PNG.

    H.264 and AAC, index in front, a key frame every second. Raises RenderCancelledError.
    """
    with av.open(video, "w", format="mp4", options={"movflags": "+faststart"}) as container:
        pictures = _add_video(container, clip)
        sound = _add_audio(container) if clip.audio else None
        samples = chord(clip.seed, duration_seconds=clip.duration_seconds if sound else 0)
        for index, frame in enumerate(_frames(clip, still)):
            if cancelled():
                raise RenderCancelledError
            container.mux(pictures.encode(frame))
            if sound and index % FRAMES_PER_SECOND == 0:
                start = index // FRAMES_PER_SECOND * SAMPLE_RATE
                container.mux(sound.encode(_audio_frame(samples[start : start + SAMPLE_RATE], start)))
        container.mux(pictures.encode(None))
        if sound:
            container.mux(sound.encode(None))


def _add_video(container: OutputContainer, clip: Clip) -> VideoStream:
    options = H264_OPTIONS | {"crf": str(clip.rate_factor)}
    stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND, options=options)
    stream.width, stream.height, stream.pix_fmt = clip.width, clip.height, PIXEL_FORMAT
    context = stream.codec_context
    context.gop_size = FRAMES_PER_SECOND
    context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
    context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
    return stream


def _add_audio(container: OutputContainer) -> AudioStream:
    stream = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
    stream.bit_rate = AUDIO_BITS_PER_SECOND
    return stream


def _audio_frame(samples: np.ndarray, start: int) -> AudioFrame:
    frame = AudioFrame.from_ndarray(samples[None, :], format="fltp", layout="mono")
    frame.sample_rate, frame.pts = SAMPLE_RATE, start
    return frame


def _frames(clip: Clip, still: Path | None) -> Iterator[VideoFrame]:
    size = {"width": clip.width, "height": clip.height}
    text = Layer(caption(clip.prompt, **size)) if clip.prompt.split() else None
    thumbnails = Layer(strip(clip.references, **size)) if clip.references else None
    mark = Layer(watermark(**size)) if clip.watermark else None
    count = clip.duration_seconds * FRAMES_PER_SECOND
    for index, frame in enumerate(_backgrounds(clip, count)):
        planes = planes_of(frame)
        if thumbnails:
            thumbnails.paint(planes)
        if text:
            text.paint(planes, strength=_caption_strength(clip, index, count))
        if still and index == count - 1:
            Image.fromarray(frame.to_ndarray(format="rgb24")).save(still, format="PNG", compress_level=1)
        if mark:
            mark.paint(planes)
        frame.pts = index
        yield frame


def _caption_strength(clip: Clip, index: int, count: int) -> float:
    """The text stays away from a first or last frame that must be the customer's own picture."""
    frames_in = index if clip.first_frame else count
    frames_out = count - 1 - index if clip.last_frame else count
    return min(1, frames_in / CAPTION_FADE_FRAMES, frames_out / CAPTION_FADE_FRAMES)


def _backgrounds(clip: Clip, count: int) -> Iterator[VideoFrame]:
    scaler = VideoReformatter()
    first = _covering(clip.first_frame, clip) if clip.first_frame else None
    last = _covering(clip.last_frame, clip) if clip.last_frame else None
    scene = Scene(clip.prompt, clip.seed, width=clip.width, height=clip.height)
    for index in range(count):
        progress = index / (count - 1)
        smooth = progress * progress * (3 - 2 * progress)
        if first and last:
            frame = VideoFrame(clip.width, clip.height, PIXEL_FORMAT)
            planes = planes_of(frame)
            fade(planes, first, 1)
            fade(planes, last, smooth)
        else:
            picture = scene.at(index / FRAMES_PER_SECOND)
            frame = to_video_frame(picture, width=clip.width, height=clip.height, scaler=scaler)
            if first:
                fade(planes_of(frame), first, 1 - FIRST_FRAME_SHARE * smooth)
        yield frame


def _covering(image: Image.Image, clip: Clip) -> Planes:
    fitted = ImageOps.fit(image, (clip.width, clip.height))
    frame = to_video_frame(
        np.asarray(fitted), width=clip.width, height=clip.height, scaler=VideoReformatter()
    )
    return tuple(plane.copy() for plane in planes_of(frame))
