"""Looks at one video file: what it is, and pictures of it."""

import io
import os
import time
from typing import Any

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image, JpegImagePlugin  # noqa: F401  loaded now, because no file can be opened later

from services.media.errors import MediaRejectedError
from services.media.limits import MediaLimits
from services.media.probed import Probed

POSTER_SIDE_MAX = 1280
JPEG_QUALITY = 85
BRAND_PREFIXES = (b"iso", b"mp4", b"avc1", b"M4V", b"dash", b"cmf")
CODECS = ("h264", "hevc")
BOX_HEAD_BYTES = 8
BOXES_MAX = 10_000
"""At the top of a file. A minute in fragments of a tenth of a second has an eighth of this."""


def probe(file: int, *, want_last_frame: bool, limits: MediaLimits) -> Probed:
    """Proves that an open file is a complete MP4 whose video can be decoded. Call it in a separate process (`Prober`).

    Pixel count, duration and number of samples are checked before anything is decoded. Raises MediaRejectedError.
    """
    _require_mp4(file)
    _require_all_boxes(file)
    try:
        with _opened(file, limits=limits) as container:
            stream = _bounded_video(container, limits=limits)
            _require_whole(container, limits=limits)
            return _looked_at(container, stream, want_last_frame=want_last_frame, limits=limits)
    except av.FFmpegError as error:
        raise MediaRejectedError(f"undecodable: {type(error).__name__}") from error


def _require_mp4(file: int) -> None:
    head = os.pread(file, 12, 0)
    if head[4:8] != b"ftyp":
        raise MediaRejectedError("not an MP4 file: no ftyp box")
    if not head[8:12].startswith(BRAND_PREFIXES):
        raise MediaRejectedError(f"not an MP4 file: brand {head[8:12]!r}")


def _require_all_boxes(file: int) -> None:
    """Rejects a file that ends within a box. FFmpeg is content with half an index, and would leave out the sound."""
    size, position = os.fstat(file).st_size, 0
    for _ in range(BOXES_MAX):
        if size - position < BOX_HEAD_BYTES:
            return
        head = os.pread(file, 2 * BOX_HEAD_BYTES, position)
        length = int.from_bytes(head[:4], "big")
        if length == 0:  # it is the last one, and reaches to the end
            return
        if length == 1:
            length = int.from_bytes(head[BOX_HEAD_BYTES:], "big")
        if length < BOX_HEAD_BYTES:
            raise MediaRejectedError(f"a box of {length} bytes")
        position += length
        if position > size:
            raise MediaRejectedError(f"cut off: {size} bytes of at least {position}")
    raise MediaRejectedError(f"more than {BOXES_MAX} boxes")


def _opened(file: int, *, limits: MediaLimits) -> InputContainer:
    # The demuxer is named, so that no bytes can choose one that opens other files or addresses.
    # skip_frame keeps the stream analysis from decoding; it does not reach our own decoder.
    options = {
        "codec_whitelist": ",".join(CODECS),
        "max_pixels": str(limits.pixel_count_max),
        "fd": str(file),
        "protocol_whitelist": "fd",
        "skip_frame": "all",
    }
    return av.open("fd:", format="mov", options=options, metadata_errors="ignore")


def _bounded_video(container: InputContainer, *, limits: MediaLimits) -> VideoStream:
    if not container.streams.video:
        raise MediaRejectedError("no video stream")
    stream = container.streams.video[0]
    decoder = stream.codec_context
    # There is no context, whatever its type says, if FFmpeg has no decoder for the codec.
    codec = getattr(decoder, "name", None)
    if codec not in CODECS:
        raise MediaRejectedError(f"codec {codec} is none of {CODECS}")
    if not 0 < stream.width * stream.height <= limits.pixel_count_max:
        raise MediaRejectedError(f"{stream.width}x{stream.height} pixels")
    if not 0 < _duration_seconds(stream) <= limits.duration_seconds_max:
        raise MediaRejectedError(f"{_duration_seconds(stream):.3f} seconds")
    # One thread, because many jobs are probed at once. A stream may grow beyond its header, hence the limit.
    decoder.thread_type, decoder.thread_count = "NONE", 1
    decoder.options = {"max_pixels": str(limits.pixel_count_max)}
    return stream


def _require_whole(container: InputContainer, *, limits: MediaLimits) -> None:
    if sum(len(stream.index_entries) for stream in container.streams) > limits.sample_count_max:
        raise MediaRejectedError("too many samples")
    entries = [entry for stream in container.streams for entry in stream.index_entries]
    end = max((entry.pos + entry.size for entry in entries), default=0)
    if end > container.size:
        raise MediaRejectedError(f"cut off: {container.size} bytes of at least {end}")


def _looked_at(
    container: InputContainer, stream: VideoStream, *, want_last_frame: bool, limits: MediaLimits
) -> Probed:
    deadline = time.monotonic() + limits.decode_timeout_seconds
    first = _first_frame(container, stream)
    last = _last_frame(container, stream, deadline=deadline) if want_last_frame else None
    return Probed(
        duration_seconds=_duration_seconds(stream),
        width=first.width,
        height=first.height,
        poster_jpeg=_jpeg(first, side_max=POSTER_SIDE_MAX),
        last_frame_jpeg=None if last is None else _jpeg(last),
    )


def _first_frame(container: InputContainer, stream: VideoStream) -> VideoFrame:
    # Flushing after the key frame avoids reading the packets that the decoder would want for reordering.
    decoder = stream.codec_context
    frames = decoder.decode(next(container.demux(stream))) or decoder.decode(None)
    if not frames:
        raise MediaRejectedError("no picture in the first sample")
    return frames[0]


def _last_frame(container: InputContainer, stream: VideoStream, *, deadline: float) -> VideoFrame:
    decoder = stream.codec_context
    assert stream.time_base, "a stream without a time base has no duration and was refused"
    end = (stream.start_time or 0) + (stream.duration or 0)
    near_end = end - int(1 / stream.time_base)
    container.seek(end, stream=stream)
    last = None
    for packet in container.demux(stream):
        if time.monotonic() > deadline:
            raise MediaRejectedError("decoding takes too long")
        # Frames that no other frame refers to matter only at the very end; skipping them halves the work.
        decoder.skip_frame = "NONREF" if packet.pts is not None and packet.pts < near_end else "DEFAULT"
        last = next(reversed(decoder.decode(packet)), last)
    if last is None:
        raise MediaRejectedError("no picture after the last key frame")
    return last


def _jpeg(frame: VideoFrame, *, side_max: int | None = None) -> bytes:
    longest = max(frame.width, frame.height)
    scale = min(1.0, (side_max or longest) / longest)
    width, height = round(frame.width * scale), round(frame.height * scale)
    # Not to_image(), whose copies cost as much as the encoding; and a plane is a buffer, whatever its type says.
    plane: Any = frame.reformat(width, height, "rgb24", threads=1).planes[0]
    picture = Image.frombuffer("RGB", (width, height), plane, "raw", "RGB", plane.line_size, 1)
    with io.BytesIO() as file:
        picture.save(file, "JPEG", quality=JPEG_QUALITY)
        return file.getvalue()


def _duration_seconds(stream: VideoStream) -> float:
    return float((stream.duration or 0) * (stream.time_base or 0))
