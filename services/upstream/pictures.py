"""Pictures of an order as bytes, for providers that fetch nothing themselves."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from services.upstream.provider import BadReference, ReferenceFault, RefusalKind, Refused, RefusedError

PICTURE_BYTES_MAX = 14_000_000
"""Of all pictures of one order. In base64 they are a third larger, and providers take 20 MB."""

LOADS_AT_ONCE_MAX = 4
"""Orders with pictures that one adapter sends. Each may hold 50 MB until it is sent."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A JPEG or a PNG."""

    content: bytes
    media_type: str


class UnusablePictureError(Exception):
    """No picture could be had from an address."""

    def __init__(self, fault: ReferenceFault) -> None:
        super().__init__(fault)
        self.fault = fault


Load = Callable[[str], Awaitable[Picture]]
"""Returns the picture at a customer's address, as JPEG or PNG. Raises UnusablePictureError."""


async def load_nothing(_url: str) -> Picture:
    """For providers that are only asked about tasks."""
    raise UnusablePictureError(ReferenceFault.NOT_FETCHED)


async def load_pictures(urls: Sequence[str], load: Load, *, timeout_seconds: float) -> list[Picture]:
    """Returns the pictures at the first addresses of an order, one after the other.

    Raises RefusedError, also if a host is slow or down: it is the customer's, and no other provider would reach it.
    """
    pictures: list[Picture] = []
    byte_count = 0
    try:
        async with asyncio.timeout(timeout_seconds):
            for url in urls:
                picture = await load(url)
                byte_count += len(picture.content)
                if byte_count > PICTURE_BYTES_MAX:
                    raise UnusablePictureError(ReferenceFault.OUT_OF_BOUNDS)
                pictures.append(picture)
    except UnusablePictureError as error:
        raise _refusal(len(pictures), error.fault) from error
    except TimeoutError as error:
        raise _refusal(len(pictures), ReferenceFault.NOT_FETCHED) from error
    return pictures


def _refusal(position: int, fault: ReferenceFault) -> RefusedError:
    reference = BadReference(position=position, is_image=True, fault=fault)
    detail = f"reference {position}: {fault}"
    return RefusedError(Refused(kind=RefusalKind.INPUT_MEDIA, detail=detail, reference=reference))
