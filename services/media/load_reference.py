"""Fetches a file that a request refers to, for providers that need its bytes."""

import asyncio
import io
import tempfile
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

import aiohttp

from services.common.egress.policy import ForbiddenUrlError
from services.common.egress.session import EncodedBodyError
from services.common.egress.session_failures import session_failure_text
from services.common.egress.urls import check_form, outgoing_url, redirect_target
from services.media.errors import MediaError, MediaRejectedError, MediaUnavailableError
from services.media.file_types import HEAD_BYTES, media_type_of
from services.media.limits import MediaLimits
from services.media.picture_size import picture_size
from services.media.probed import Probed
from services.media.prober import REFERENCE_COMMAND, Prober
from services.media.reference_rules import (
    RULES,
    ReferenceKind,
    ReferenceRefusedError,
    check_kind,
    check_picture,
)

JPEG: Final = "image/jpeg"
REDIRECTS_MAX: Final = 3
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_TRANSIENT: Final = frozenset({408, 425, 429})


@dataclass(frozen=True, kw_only=True)
class LoadedReference:
    """A file as a provider takes it."""

    content: bytes
    media_type: str


async def load_reference(
    url: str,
    kind: ReferenceKind,
    *,
    session: aiohttp.ClientSession,
    accepted: frozenset[str],
    timeout_seconds: float = 60.0,
) -> LoadedReference:
    """Returns the file at an address, as one of the `accepted` media types.

    It is fetched without any credential by the guarded `session`, at most 30 MB for a picture, 200 for a video and 15 for
    sound; its type is what its bytes say. A picture of another type becomes a JPEG, in a process of its own, and only if
    JPEG is accepted. Nothing is decoded of a picture whose header has a size outside the rules.
    Raises ReferenceRefusedError, which repeating cannot help, or MediaUnavailableError.
    """
    try:
        async with asyncio.timeout(timeout_seconds):
            content = await _fetch(url, kind, session=session)
            media_type = _checked_type(content, kind)
            if media_type in accepted:
                return LoadedReference(content=content, media_type=media_type)
            if kind is not ReferenceKind.IMAGE or JPEG not in accepted:
                raise ReferenceRefusedError(f"must be one of {', '.join(sorted(accepted))}")
            return LoadedReference(content=await as_jpeg(content), media_type=JPEG)
    except TimeoutError as error:
        raise MediaUnavailableError("reference not fetched in time") from error


async def as_jpeg(picture: bytes) -> bytes:
    """Returns a picture as JPEG, upright, on white. Raises ReferenceRefusedError or MediaUnavailableError."""
    prober = Prober(limits=MediaLimits(), processes_max=1, command=REFERENCE_COMMAND)
    with tempfile.NamedTemporaryFile() as file:
        await asyncio.to_thread(Path(file.name).write_bytes, picture)
        async with prober.running():
            probed = await _probed(Path(file.name), prober=prober)
    if isinstance(probed, MediaError):
        unreadable = ReferenceRefusedError("must be a picture that can be read")
        raise unreadable if isinstance(probed, MediaRejectedError) else probed
    return probed.poster_jpeg


async def _probed(picture: Path, *, prober: Prober) -> Probed | MediaError:
    # What is raised beside the prober's duty would come out in a group.
    try:
        return await prober.probe(picture, want_last_frame=False)
    except MediaError as error:
        return error


def _checked_type(content: bytes, kind: ReferenceKind) -> str:
    media_type = media_type_of(content[:HEAD_BYTES]) or ""
    check_kind(media_type, kind)
    if kind is ReferenceKind.IMAGE:
        check_picture(*picture_size(io.BytesIO(content), media_type))
    return media_type


async def _fetch(url: str, kind: ReferenceKind, *, session: aiohttp.ClientSession) -> bytes:
    try:
        for _ in range(REDIRECTS_MAX + 1):
            found = await _get(url, kind, session=session)
            if isinstance(found, bytes):
                return found
            url = redirect_target(url, found)
    except ForbiddenUrlError as error:
        raise ReferenceRefusedError(f"must be at a public address, which {error.why}") from None
    except (EncodedBodyError, aiohttp.InvalidURL) as error:
        raise ReferenceRefusedError("must be served as it is, at a valid address") from error
    except (aiohttp.ClientError, OSError) as error:
        # The cause may quote a signed address, so only its kind is passed on.
        raise MediaUnavailableError(f"reference not fetched: {session_failure_text(error)}") from None
    raise ReferenceRefusedError(f"must be reached by {REDIRECTS_MAX} redirects at the most")


async def _get(url: str, kind: ReferenceKind, *, session: aiohttp.ClientSession) -> bytes | str:
    """Returns the file, or the address that it is said to be at."""
    check_form(url)
    async with session.get(
        outgoing_url(url),
        headers={"Accept-Encoding": "identity"},
        timeout=aiohttp.ClientTimeout(total=None, connect=10.0),
        allow_redirects=False,
    ) as response:
        status = response.status
        if status in _REDIRECTS:
            return response.headers.get("Location", "")
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _TRANSIENT:
            raise MediaUnavailableError(f"reference answered {status}")
        if status != HTTPStatus.OK:
            raise ReferenceRefusedError(f"must be readable at its address, which answered {status}")
        return await _read(response, byte_count_max=RULES[kind].byte_count_max)


async def _read(response: aiohttp.ClientResponse, *, byte_count_max: int) -> bytes:
    content = bytearray()
    too_large = ReferenceRefusedError(f"must have at most {byte_count_max} bytes")
    if (response.content_length or 0) > byte_count_max:
        raise too_large
    async for piece in response.content.iter_any():
        content += piece
        if len(content) > byte_count_max:
            raise too_large
    return bytes(content)
