"""The size of a picture, from its header alone: nothing is decoded, so a tiny file that holds a huge picture costs nothing."""

import struct
from collections.abc import Callable
from typing import IO, Final

from services.media.reference_rules import ReferenceRefusedError

Size = tuple[int, int]
_SEGMENTS_MAX: Final = 1_000
"""Of a JPEG before its frame. A photo with all its notes has a few dozen."""
_ENTRIES_MAX: Final = 4_096
_WIDTH_TAG, _HEIGHT_TAG = 256, 257
_FORMAT_BY_TIFF_TYPE: Final = {3: "H", 4: "I"}
_JPEG_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD8)})
_JPEG_PICTURE: Final = frozenset({0xD9, 0xDA})


def picture_size(file: IO[bytes], media_type: str) -> Size:
    """Returns width and height in pixels. Raises ReferenceRefusedError if the header does not say."""
    file.seek(0)
    try:
        width, height = _READERS[media_type](file)
    except (struct.error, IndexError, OverflowError):
        width = height = 0
    if width <= 0 or height <= 0:
        raise ReferenceRefusedError("must be a whole picture: its header does not say how large it is")
    return width, height


def _png(file: IO[bytes]) -> Size:
    head = file.read(24)
    if head[12:16] != b"IHDR":
        return 0, 0
    width, height = struct.unpack(">II", head[16:24])
    return width, height


def _gif(file: IO[bytes]) -> Size:
    width, height = struct.unpack("<HH", file.read(10)[6:10])
    return width, height


def _bmp(file: IO[bytes]) -> Size:
    head = file.read(26)
    if struct.unpack("<I", head[14:18]) == (12,):
        width, height = struct.unpack("<HH", head[18:22])
    else:
        width, height = struct.unpack("<ii", head[18:26])
    return width, abs(height)  # a negative height: rows from the top


def _webp(file: IO[bytes]) -> Size:
    head = file.read(30)
    match head[12:16]:
        case b"VP8X":
            return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
        case b"VP8L":
            bits = int.from_bytes(head[21:25], "little")
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case b"VP8 ":
            width, height = struct.unpack("<HH", head[26:30])
            return width & 0x3FFF, height & 0x3FFF
    return 0, 0


def _jpeg(file: IO[bytes]) -> Size:
    file.seek(2)
    for _ in range(_SEGMENTS_MAX):
        lead, marker = struct.unpack("BB", file.read(2))
        while marker == 0xFF:
            marker = file.read(1)[0]
        if lead != 0xFF or marker in _JPEG_PICTURE:
            break
        if marker in _JPEG_ALONE:
            continue
        (length,) = struct.unpack(">H", file.read(2))
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack(">xHH", file.read(5))
            return width, height
        file.seek(max(0, length - 2), 1)
    return 0, 0


def _tiff(file: IO[bytes]) -> Size:
    order = "<" if file.read(2) == b"II" else ">"
    _, offset = struct.unpack(f"{order}HI", file.read(6))
    file.seek(offset)
    (count,) = struct.unpack(f"{order}H", file.read(2))
    found = dict.fromkeys((_WIDTH_TAG, _HEIGHT_TAG), 0)
    for _ in range(min(count, _ENTRIES_MAX)):
        tag, kind, number = struct.unpack(f"{order}HHI", file.read(8))
        value = file.read(4)
        if tag in found and number == 1 and kind in _FORMAT_BY_TIFF_TYPE:
            form = _FORMAT_BY_TIFF_TYPE[kind]
            (found[tag],) = struct.unpack_from(f"{order}{form}", value)
    return found[_WIDTH_TAG], found[_HEIGHT_TAG]


_READERS: Final[dict[str, Callable[[IO[bytes]], Size]]] = {
    "image/jpeg": _jpeg,
    "image/png": _png,
    "image/webp": _webp,
    "image/bmp": _bmp,
    "image/tiff": _tiff,
    "image/gif": _gif,
}
