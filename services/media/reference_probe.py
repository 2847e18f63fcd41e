"""The separate process that looks at references: measures videos and sounds by their headers, renders pictures as JPEG.

It is confined as `probe_process` is, and runs only for files that have passed what their first bytes and headers tell.
"""

import io
import os

import av
from av.container import InputContainer
from PIL import (  # noqa: F401  loaded now, because no file can be opened later
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageOps,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from services.media.errors import MediaRejectedError
from services.media.file_types import HEAD_BYTES, media_type_of
from services.media.limits import MediaLimits
from services.media.picture_size import picture_size
from services.media.probe_process import serve
from services.media.probed import Probed
from services.media.reference_rules import (
    MEDIA_TYPES,
    VIDEO_CODECS,
    ReferenceKind,
    ReferenceRefusedError,
    check_picture,
)

JPEG_QUALITY = 95
PICTURE_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
AUDIO_CODECS = "mp3,mp3float,pcm_s16le,pcm_s24le,pcm_s32le,pcm_u8,pcm_f32le,pcm_f64le,pcm_alaw,pcm_mulaw"
_DEMUXERS = {"video/mp4": "mov", "video/quicktime": "mov", "audio/wav": "wav", "audio/mpeg": "mp3"}


def look(file: int, *, want_last_frame: bool, limits: MediaLimits) -> Probed:
    """Returns a reference as measured; of a picture also a JPEG of it, and of nothing a last frame.

    Raises MediaRejectedError.
    """
    assert not want_last_frame, "a reference has none"
    media_type = media_type_of(os.pread(file, HEAD_BYTES, 0)) or ""
    kind = MEDIA_TYPES.get(media_type)
    try:
        if kind is ReferenceKind.IMAGE:
            return _picture(file, media_type)
        if kind is None:
            raise MediaRejectedError("no reference")
        with _opened(file, media_type, limits=limits) as container:
            return _video(container) if kind is ReferenceKind.VIDEO else _sound(container)
    except (av.FFmpegError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise MediaRejectedError(f"undecodable: {type(error).__name__}") from error
    except ReferenceRefusedError as error:
        raise MediaRejectedError(error.rule) from error


def _opened(file: int, media_type: str, *, limits: MediaLimits) -> InputContainer:
    # The demuxer is named, so that no bytes can choose one that opens other files or addresses.
    codecs = AUDIO_CODECS if media_type.startswith("audio/") else ",".join((*VIDEO_CODECS, "aac"))
    options = {
        "codec_whitelist": codecs,
        "max_pixels": str(limits.pixel_count_max),
        "fd": str(file),
        "protocol_whitelist": "fd",
        "skip_frame": "all",
    }
    return av.open("fd:", format=_DEMUXERS[media_type], options=options, metadata_errors="ignore")


def _video(container: InputContainer) -> Probed:
    if not container.streams.video:
        raise MediaRejectedError("no video stream")
    stream = container.streams.video[0]
    if getattr(stream.codec_context, "name", None) not in VIDEO_CODECS:
        raise MediaRejectedError("another codec")
    return Probed(
        duration_seconds=float((stream.duration or 0) * (stream.time_base or 0)),
        width=stream.width,
        height=stream.height,
        frames_per_second=float(stream.average_rate or 0),
        poster_jpeg=b"",
        last_frame_jpeg=None,
    )


def _sound(container: InputContainer) -> Probed:
    if not container.streams.audio:
        raise MediaRejectedError("no sound")
    seconds = (container.duration or 0) / av.time_base
    return Probed(duration_seconds=seconds, width=0, height=0, poster_jpeg=b"", last_frame_jpeg=None)


def _picture(file: int, media_type: str) -> Probed:
    with open(file, "rb", closefd=False) as opened:
        width, height = picture_size(opened, media_type)
        check_picture(width, height)
        opened.seek(0)
        image = Image.open(opened, formats=PICTURE_FORMATS)
        if image.size != (width, height):
            raise MediaRejectedError("two sizes")
        upright = ImageOps.exif_transpose(image).convert("RGBA")
    ground = Image.new("RGB", upright.size, "white")
    ground.paste(upright, mask=upright.getchannel("A"))
    with io.BytesIO() as written:
        ground.save(written, "JPEG", quality=JPEG_QUALITY)
        jpeg = written.getvalue()
    return Probed(duration_seconds=0.0, width=width, height=height, poster_jpeg=jpeg, last_frame_jpeg=None)


if __name__ == "__main__":
    serve(look)
