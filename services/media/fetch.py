"""Fetches a provider's result into a temporary file."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

import aiohttp

from services.common.egress.policy import ForbiddenUrlError
from services.common.egress.session import EncodedBodyError
from services.common.egress.session_failures import session_failure_text
from services.common.egress.urls import check_form, has_same_origin, outgoing_url, redirect_target
from services.media.errors import MediaError, MediaGoneError, MediaRejectedError, MediaUnavailableError
from services.media.limits import MIB, MediaLimits

HeadersFor = Callable[[str], Mapping[str, str]]
"""What a request for an address needs beside it, such as a credential."""

REDIRECTS_MAX = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TRANSIENT_STATUSES = frozenset({408, 425, 429})


def no_headers(_url: str) -> Mapping[str, str]:
    """For links that need nothing beside them."""
    return {}


@asynccontextmanager
async def fetched(
    url: str,
    *,
    session: aiohttp.ClientSession,
    limits: MediaLimits,
    headers_for: HeadersFor = no_headers,
    executor: Executor | None = None,
) -> AsyncIterator[Path]:
    """Streams a link into a temporary file and deletes it after the block. Follows at most REDIRECTS_MAX redirects.

    `headers_for` is asked only about addresses of the link's own origin, and not at all once a redirect has left it.
    `session` is guarded (`open_egress_session`), so that neither a link nor a redirect can lead to a private address, and
    nothing is decompressed.
    Raises MediaUnavailableError, MediaGoneError or MediaRejectedError.
    """
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        try:
            async with _answer(url, session=session, limits=limits, headers_for=headers_for) as answer:
                await _copy(answer, file, limits=limits, executor=executor)
        except ForbiddenUrlError as error:
            raise MediaRejectedError(f"link {error.why}") from None
        except aiohttp.InvalidURL as error:
            raise MediaRejectedError(session_failure_text(error)) from None
        except EncodedBodyError as error:
            raise MediaRejectedError(str(error)) from None
        except (aiohttp.ClientError, OSError) as error:
            # The cause may quote the signed link, so only its kind is passed on.
            raise MediaUnavailableError(f"fetch failed: {session_failure_text(error)}") from None
        yield Path(file.name)


@asynccontextmanager
async def _answer(
    link: str, *, session: aiohttp.ClientSession, limits: MediaLimits, headers_for: HeadersFor
) -> AsyncIterator[aiohttp.ClientResponse]:
    first, is_home = link, True
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limits.fetch_timeout_seconds
    for _ in range(1 + REDIRECTS_MAX):
        check_form(link)
        # Whoever answers elsewhere may send us back to an address that it chose, so that nothing is sent along again.
        is_home = is_home and has_same_origin(link, first)
        headers = headers_for(link) if is_home else {}
        if (seconds := deadline - loop.time()) <= 0:
            raise TimeoutError
        async with session.get(
            outgoing_url(link),
            headers={"Accept-Encoding": "identity", **headers},
            timeout=aiohttp.ClientTimeout(total=seconds, connect=limits.connect_timeout_seconds),
            allow_redirects=False,
        ) as response:
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or location is None:
                yield response
                return
            link = redirect_target(link, location)
    raise MediaRejectedError(f"link redirects more than {REDIRECTS_MAX} times")


async def _copy(
    answer: aiohttp.ClientResponse, file: IO[bytes], *, limits: MediaLimits, executor: Executor | None
) -> None:
    loop = asyncio.get_running_loop()
    byte_count = 0

    def append(block: bytes) -> None:
        file.write(block)
        file.flush()

    if answer.status != 200:
        raise _refusal(answer.status)
    if (answer.content_length or 0) > limits.byte_count_max:
        raise _too_large(limits)
    async for block in _blocks(answer.content):
        byte_count += len(block)
        if byte_count > limits.byte_count_max:
            raise _too_large(limits)
        await loop.run_in_executor(executor, append, block)


async def _blocks(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    # The network delivers small pieces; a hop to a thread for each would cost more than the writing.
    block = bytearray()
    async for piece in content.iter_any():
        block += piece
        if len(block) >= MIB:
            yield bytes(block)
            block.clear()
    if block:
        yield bytes(block)


def _refusal(status: int) -> MediaError:
    detail = f"fetch answered {status}"
    if status >= 500 or status in _TRANSIENT_STATUSES:
        return MediaUnavailableError(detail)
    return MediaGoneError(detail) if status >= 400 else MediaRejectedError(detail)


def _too_large(limits: MediaLimits) -> MediaRejectedError:
    return MediaRejectedError(f"larger than {limits.byte_count_max} bytes")
