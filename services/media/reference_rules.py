"""What a file may be that a request refers to: kinds, formats, sizes. The narrowest limits that all providers share."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

MB: Final = 1_000_000


class ReferenceKind(StrEnum):
    """What a file is for."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"


class ReferenceRefusedError(Exception):
    """A file that cannot be a reference. `rule` completes the sentence "The file …" and says what to change."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


@dataclass(frozen=True, kw_only=True)
class KindRules:
    """What files of one kind may be."""

    formats: Mapping[str, tuple[str, ...]]
    """Media types, each with the extensions that its files have. The first one names our own."""
    names: str
    """The formats as a sentence names them."""
    byte_count_max: int


RULES: Final[Mapping[ReferenceKind, KindRules]] = {
    ReferenceKind.IMAGE: KindRules(
        formats={
            "image/jpeg": ("jpg", "jpeg", "jfif"),
            "image/png": ("png",),
            "image/webp": ("webp",),
            "image/bmp": ("bmp",),
            "image/tiff": ("tiff", "tif"),
            "image/gif": ("gif",),
        },
        names="JPEG, PNG, WebP, BMP, TIFF or GIF",
        byte_count_max=30 * MB,
    ),
    ReferenceKind.VIDEO: KindRules(
        formats={"video/mp4": ("mp4", "m4v"), "video/quicktime": ("mov", "qt")},
        names="MP4 or MOV",
        byte_count_max=200 * MB,
    ),
    ReferenceKind.AUDIO: KindRules(
        formats={"audio/wav": ("wav", "wave"), "audio/mpeg": ("mp3",)},
        names="WAV or MP3",
        byte_count_max=15 * MB,
    ),
}
SIDE_PIXELS_MIN: Final = 300
SIDE_PIXELS_MAX: Final = 6_000
RATIO_MIN, RATIO_MAX = 0.4, 2.5
"""Width by height."""
VIDEO_PIXELS_MIN, VIDEO_PIXELS_MAX = 409_600, 8_295_044
SECONDS_MIN, SECONDS_MAX = 2.0, 15.2
"""Of a video or sound. Providers say 15 and tolerate what encoders add."""
RATE_MIN, RATE_MAX = 23.9, 60.1
"""Frames a second: 24 to 60, and what 24000/1001 and 60000/1001 make of them."""
VIDEO_CODECS: Final = ("h264", "hevc")

FOREIGN_FORMATS: Final[Mapping[str, tuple[str, str]]] = {
    "image/heic": ("HEIC", "Export the photo as JPEG"),
    "image/avif": ("AVIF", "Save it as PNG or JPEG"),
    "image/svg+xml": ("SVG", "Render the drawing as PNG"),
    "image/x-icon": ("ICO", "Save it as PNG"),
    "image/vnd.adobe.photoshop": ("PSD", "Export it as PNG"),
    "image/jxl": ("JPEG XL", "Save it as JPEG"),
    "application/pdf": ("PDF", "Export the page as PNG"),
    "video/webm": ("WebM or Matroska", "Convert it to MP4 with H.264"),
    "video/x-msvideo": ("AVI", "Convert it to MP4 with H.264"),
    "audio/ogg": ("Ogg", "Convert it to MP3 or WAV"),
    "audio/flac": ("FLAC", "Convert it to WAV"),
    "audio/mp4": ("AAC in MP4", "Convert it to MP3 or WAV"),
    "text/html": ("an HTML page", "Use the address of the file itself"),
}
"""Formats that people send and no reference may have: what they are called, and what to do."""
_FOREIGN_EXTENSIONS: Final = {
    "avif": "image/avif",
    "avi": "video/x-msvideo",
    "flac": "audio/flac",
    "heic": "image/heic",
    "heif": "image/heic",
    "htm": "text/html",
    "html": "text/html",
    "ico": "image/x-icon",
    "jxl": "image/jxl",
    "m4a": "audio/mp4",
    "mkv": "video/webm",
    "oga": "audio/ogg",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",
    "pdf": "application/pdf",
    "psd": "image/vnd.adobe.photoshop",
    "svg": "image/svg+xml",
    "svgz": "image/svg+xml",
    "webm": "video/webm",
}
MEDIA_TYPES: Final[Mapping[str, ReferenceKind]] = {
    media_type: kind for kind, rules in RULES.items() for media_type in rules.formats
}
"""Every media type that a reference may have, and its kind."""
_TYPE_BY_EXTENSION: Final = _FOREIGN_EXTENSIONS | {
    extension: media_type
    for rules in RULES.values()
    for media_type, extensions in rules.formats.items()
    for extension in extensions
}


def extension_of(media_type: str) -> str:
    """Returns the extension, without a dot, that our own files of a media type have."""
    return RULES[MEDIA_TYPES[media_type]].formats[media_type][0]


def check_kind(media_type: str, kind: ReferenceKind) -> None:
    """Refuses a media type that a file of this kind may not have. Raises ReferenceRefusedError."""
    if MEDIA_TYPES.get(media_type) is kind:
        return
    wanted = f"{_article(kind)} in {RULES[kind].names}"
    if media_type in MEDIA_TYPES:
        name = media_type.partition("/")[2].upper()
        raise ReferenceRefusedError(f"must be {wanted}, but it is {name}")
    if media_type in FOREIGN_FORMATS:
        name, advice = FOREIGN_FORMATS[media_type]
        raise ReferenceRefusedError(f"must be {wanted}: {name} is not accepted. {advice}")
    raise ReferenceRefusedError(f"must be {wanted}")


def check_extension(url: str, kind: ReferenceKind) -> None:
    """Refuses an address whose extension says that its file is of another kind or format. Raises ReferenceRefusedError.

    An unknown extension, or none, says nothing.
    """
    _, dot, extension = urlsplit(url).path.rpartition("/")[2].rpartition(".")
    media_type = _TYPE_BY_EXTENSION.get(extension.lower()) if dot else None
    if media_type is not None:
        check_kind(media_type, kind)


def check_picture(width: int, height: int) -> None:
    """Refuses a picture whose size no provider takes. Raises ReferenceRefusedError."""
    if not (min(width, height) >= SIDE_PIXELS_MIN and max(width, height) <= SIDE_PIXELS_MAX):
        raise ReferenceRefusedError(
            f"must have sides of {SIDE_PIXELS_MIN} to {SIDE_PIXELS_MAX} pixels; it has {width}x{height}"
        )
    if not RATIO_MIN <= width / height <= RATIO_MAX:
        raise ReferenceRefusedError(
            f"must be {RATIO_MIN} to {RATIO_MAX} times as wide as high; it has {width}x{height} pixels"
        )


def check_length(seconds: float) -> None:
    """Refuses a video or sound that is too short or too long. Raises ReferenceRefusedError."""
    if not SECONDS_MIN <= seconds <= SECONDS_MAX:
        raise ReferenceRefusedError(
            f"must last {SECONDS_MIN:g} to {int(SECONDS_MAX)} seconds; it lasts {seconds:.1f}"
        )


def check_size(byte_count: int, kind: ReferenceKind) -> None:
    """Refuses a file that is empty or too large. Raises ReferenceRefusedError."""
    most = RULES[kind].byte_count_max
    if not 0 < byte_count <= most:
        raise ReferenceRefusedError(f"must have 1 to {most} bytes; it has {byte_count}")


def _article(kind: ReferenceKind) -> str:
    return "a video" if kind is ReferenceKind.VIDEO else f"an {kind}"
