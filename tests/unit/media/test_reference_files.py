"""What a file is, and how large its picture, is read from its first bytes: no picture is decoded for it."""

import io
import struct
import zlib
from typing import Any

import pytest
from PIL import Image

from services.media.file_types import media_type_of
from services.media.picture_size import picture_size
from services.media.reference_rules import (
    ReferenceKind,
    ReferenceRefusedError,
    check_extension,
    check_kind,
    check_length,
    check_picture,
)

FORMATS = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
    "GIF": "image/gif",
}
FOREIGN = {
    b"\x00\x00\x00\x18ftypheic": "image/heic",
    b"\x00\x00\x00\x18ftypmif1": "image/heic",
    b"\x00\x00\x00\x1cftypavif": "image/avif",
    b'<?xml version="1.0"?>\n<!-- drawn --><svg xmlns="http://www.w3.org/2000/svg">': "image/svg+xml",
    b"  <svg>": "image/svg+xml",
    b"<!DOCTYPE html><html>": "text/html",
    b"\x1aE\xdf\xa3": "video/webm",
    b"RIFF\x00\x00\x00\x00AVI LIST": "video/x-msvideo",
    b"OggS": "audio/ogg",
}


def picture(name: str, size: tuple[int, int] = (640, 360), **options: Any) -> bytes:
    with io.BytesIO() as file:
        Image.new("RGB", size, "teal").save(file, name, **options)
        return file.getvalue()


@pytest.mark.parametrize("name", FORMATS)
def test_every_accepted_picture_tells_its_type_and_size(name: str) -> None:
    content = picture(name)
    assert media_type_of(content[:512]) == FORMATS[name]
    assert picture_size(io.BytesIO(content), FORMATS[name]) == (640, 360)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("JPEG", {"progressive": True, "exif": b"Exif\x00\x00" + bytes(4_000), "comment": b"x" * 60_000}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"exif": b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00"}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ],
)
def test_unusual_headers_are_read(name: str, options: dict[str, Any]) -> None:
    assert picture_size(io.BytesIO(picture(name, **options)), FORMATS[name]) == (640, 360)


@pytest.mark.parametrize(("head", "media_type"), FOREIGN.items())
def test_what_is_not_accepted_is_known_by_name(head: bytes, media_type: str) -> None:
    assert media_type_of(head) == media_type
    with pytest.raises(ReferenceRefusedError, match=r"not accepted|JPEG, PNG, WebP, BMP, TIFF or GIF"):
        check_kind(media_type, ReferenceKind.IMAGE)


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (b"\x00\x00\x00\x20ftypisom", "video/mp4"),
        (b"\x00\x00\x00\x14ftypqt  ", "video/quicktime"),
        (b"\x00\x00\x00\x08wide\x00\x00", "video/quicktime"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "audio/wav"),
        (b"ID3\x04\x00", "audio/mpeg"),
        (b"\xff\xfb\x90\x64", "audio/mpeg"),
        (b"hello", None),
        (b"", None),
    ],
)
def test_videos_and_sounds_are_told_apart(head: bytes, media_type: str | None) -> None:
    assert media_type_of(head) == media_type


def test_a_pixel_bomb_is_refused_by_its_header() -> None:
    # 100,000 pixels square in a file of a few hundred bytes: decoded, it would take 30 GB.
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    size = picture_size(io.BytesIO(bomb), "image/png")
    assert size == (100_000, 100_000)
    with pytest.raises(ReferenceRefusedError, match="300 to 6000 pixels; it has 100000x100000"):
        check_picture(*size)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("length", [0, 4, 9])
def test_a_header_that_is_cut_off_is_refused(name: str, length: int) -> None:
    with pytest.raises(ReferenceRefusedError, match="does not say how large"):
        picture_size(io.BytesIO(picture(name)[:length]), FORMATS[name])


@pytest.mark.parametrize(("width", "height"), [(299, 300), (6_001, 3_000), (900, 300), (300, 900), (0, 0)])
def test_pictures_that_no_provider_takes_are_refused(width: int, height: int) -> None:
    with pytest.raises(ReferenceRefusedError):
        check_picture(width, height)


@pytest.mark.parametrize(("width", "height"), [(300, 300), (6_000, 6_000), (750, 300), (320, 800)])
def test_pictures_at_the_limits_are_taken(width: int, height: int) -> None:
    check_picture(width, height)


@pytest.mark.parametrize("seconds", [0.0, 1.9, 15.3])
def test_lengths_outside_the_limits_are_refused(seconds: float) -> None:
    with pytest.raises(ReferenceRefusedError, match="2 to 15 seconds"):
        check_length(seconds)


@pytest.mark.parametrize(
    ("url", "kind", "rule"),
    [
        (
            "https://a.example/x.HEIC?w=1",
            ReferenceKind.IMAGE,
            "HEIC is not accepted. Export the photo as JPEG",
        ),
        ("https://a.example/x.svg", ReferenceKind.IMAGE, "SVG is not accepted. Render the drawing as PNG"),
        ("https://a.example/x.mp4", ReferenceKind.IMAGE, "but it is MP4"),
        ("https://a.example/x.png", ReferenceKind.VIDEO, "must be a video in MP4 or MOV, but it is PNG"),
        ("https://a.example/x.webm", ReferenceKind.VIDEO, "Convert it to MP4"),
        ("https://a.example/x.m4a", ReferenceKind.AUDIO, "Convert it to MP3 or WAV"),
    ],
)
def test_an_extension_that_tells_is_believed(url: str, kind: ReferenceKind, rule: str) -> None:
    with pytest.raises(ReferenceRefusedError, match=rule):
        check_extension(url, kind)


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example/x.jpg",
        "https://a.example/x",
        "https://a.example/x.v2",
        "https://png.example/",
        "https://a.example/get?file=x.heic",
        "https://a.example/.svg.d/x.gif",
    ],
)
def test_an_extension_that_does_not_tell_is_no_reason(url: str) -> None:
    check_extension(url, ReferenceKind.IMAGE)
