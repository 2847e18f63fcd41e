import binascii
import io
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final
from urllib.parse import unquote_to_bytes

from aiohttp import ClientError, ClientSession, ClientTimeout
from PIL import Image, ImageOps

from services.common.egress.policy import ForbiddenUrlError
from services.common.egress.urls import outgoing_url
from services.simulator.content import Medium

# ModelArk documentation 1520757; the total is that of a whole request body.
BYTE_COUNT_MAX: Final = 30_000_000
TOTAL_BYTE_COUNT_MAX: Final = 64 * 2**20
SIDE_MAX_PIXELS: Final = 6_000
KEPT_SIDE_MAX_PIXELS: Final = 2_048
FORMATS: Final = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
FETCH_TIMEOUT: Final = ClientTimeout(total=15)
CHUNK_BYTES: Final = 65_536


class BadImageError(Exception):
    """A reference image cannot be fetched or read; code and message are ModelArk's."""

    def __init__(self, position: int, reason: str, *, code: str = "InvalidParameter") -> None:
        super().__init__(
            f"The parameter `content[{position}].image_url` specified in the request is not valid: {reason}."
        )
        self.code = code


async def fetch_images(session: ClientSession, images: Sequence[Medium]) -> list[bytes]:
    """The files at the http, https or data addresses of these images, in order, fetched with a guarded session.

    Raises BadImageError.
    """
    files: list[bytes] = []
    for image in images:
        url, position = image.url, image.position
        room = min(BYTE_COUNT_MAX, TOTAL_BYTE_COUNT_MAX - sum(map(len, files)))
        try:
            file = _decode(url) if url.startswith("data:") else await _download(session, url, room=room)
        except ForbiddenUrlError as error:
            raise BadImageError(position, f"resource download failed: its address {error}") from error
        except (ClientError, OSError, ValueError) as error:
            raise BadImageError(position, "resource download failed") from error
        if len(file) > room:
            raise BadImageError(position, f"the image size must be at most {BYTE_COUNT_MAX} bytes")
        files.append(file)
    return files


def open_image(file: bytes, *, position: int) -> Image.Image:
    """The picture in a file, upright, without transparency and no larger than anything made of it. Raises BadImageError."""
    try:
        image = Image.open(io.BytesIO(file), formats=FORMATS)
        if max(image.size) > SIDE_MAX_PIXELS:
            raise BadImageError(position, f"the image side must be at most {SIDE_MAX_PIXELS} pixels")
        picture = ImageOps.exif_transpose(image).convert("RGB")
        # Tiny files may hold huge pictures, and a task has many: only one at a time is there in full size.
        picture.thumbnail((KEPT_SIDE_MAX_PIXELS, KEPT_SIDE_MAX_PIXELS))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = "the image could not be parsed"
        raise BadImageError(position, reason, code="InvalidImageURL.InvalidFormat") from error
    return picture


def _decode(url: str) -> bytes:
    head, _, encoded = url.partition(",")
    if not head.endswith(";base64"):
        raise ValueError("a data address must be base64")
    return binascii.a2b_base64(unquote_to_bytes(encoded), strict_mode=True)


async def _download(session: ClientSession, url: str, *, room: int) -> bytes:
    file = bytearray()
    async with session.get(outgoing_url(url), timeout=FETCH_TIMEOUT) as response:
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise ValueError(f"the answer was {response.status}")
        async for chunk in response.content.iter_chunked(CHUNK_BYTES):
            file += chunk
            if len(file) > room:
                break
    return bytes(file)
