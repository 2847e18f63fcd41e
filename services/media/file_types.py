"""What a file is, by its first bytes: nothing that a customer says about a file is believed."""

from collections.abc import Callable
from typing import Final

HEAD_BYTES: Final = 512
"""What `media_type_of` wants to see."""
_BY_START: Final = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"BM", "image/bmp"),
    (b"ID3", "audio/mpeg"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"\x1aE\xdf\xa3", "video/webm"),
    (b"%PDF-", "application/pdf"),
    (b"8BPS", "image/vnd.adobe.photoshop"),
    (b"\x00\x00\x01\x00", "image/x-icon"),
    (b"\xff\x0a", "image/jxl"),
    (b"\x00\x00\x00\x0cJXL ", "image/jxl"),
)
_BY_RIFF: Final = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_BY_BRAND: Final = (
    ((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "image/heic"),
    ((b"avif", b"avis"), "image/avif"),
    ((b"M4A ", b"M4B "), "audio/mp4"),
    ((b"qt  ",), "video/quicktime"),
)
_OLD_MOVIE_BOXES: Final = (b"moov", b"mdat", b"wide", b"free", b"skip")
_MARKUP: Final = ((b"<svg", "image/svg+xml"), (b"<!doctype html", "text/html"), (b"<html", "text/html"))


def media_type_of(head: bytes) -> str | None:
    """Returns the media type of a file that begins so. None: it is nothing that we know."""
    guesses: tuple[Callable[[bytes], str | None], ...] = (_by_start, _by_container, _by_markup, _mp3_frame)
    return next((found for guess in guesses if (found := guess(head))), None)


def _by_start(head: bytes) -> str | None:
    return next((media_type for start, media_type in _BY_START if head.startswith(start)), None)


def _by_container(head: bytes) -> str | None:
    if head[:4] in {b"RIFF", b"RF64"}:
        return _BY_RIFF.get(head[8:12])
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        return next((media_type for brands, media_type in _BY_BRAND if brand in brands), "video/mp4")
    # Movies that QuickTime made before there were brands begin with any of their boxes.
    return "video/quicktime" if head[4:8] in _OLD_MOVIE_BOXES else None


def _by_markup(head: bytes) -> str | None:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not text.startswith(b"<"):
        return None
    return next((media_type for mark, media_type in _MARKUP if mark in text), None)


def _mp3_frame(head: bytes) -> str | None:
    # Eleven bits of a frame's beginning, layer III, and neither a forbidden rate of bits nor of samples.
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return None
    return "audio/mpeg" if head[2] >> 4 not in {0, 15} and head[2] >> 2 & 3 != 3 else None
