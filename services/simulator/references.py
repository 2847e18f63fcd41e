import binascii
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final
from urllib.parse import unquote_to_bytes

from aiohttp import ClientError, ClientSession, ClientTimeout

from services.common.egress.policy import ForbiddenUrlError
from services.common.egress.urls import outgoing_url
from services.simulator.content import Medium

# ModelArk documentation 1520757; the total is that of a whole request body.
BYTE_COUNT_MAX: Final = 30_000_000
TOTAL_BYTE_COUNT_MAX: Final = 64 * 2**20
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
