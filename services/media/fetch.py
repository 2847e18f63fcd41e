"""Fetches a provider's result into a temporary file."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

import aiohttp

from services.common.egress.policy import ForbiddenUrlError
from services.common.egress.session import EncodedBodyError
from services.common.egress.session_failures import session_failure_text
from services.common.egress.urls import check_form, outgoing_url
from services.media.errors import MediaError, MediaGoneError, MediaRejectedError, MediaUnavailableError
from services.media.limits import MIB, MediaLimits

_TRANSIENT_STATUSES = frozenset({408, 425, 429})


@asynccontextmanager
async def fetched(
    url: str, *, session: aiohttp.ClientSession, limits: MediaLimits, executor: Executor | None = None
) -> AsyncIterator[Path]:
    """Streams a link into a temporary file and deletes it after the block. Sends no credential, follows no redirect.

    `session` is guarded (`open_egress_session`), so that a link cannot lead to a private address, and nothing is decompressed.
    Raises MediaUnavailableError, MediaGoneError or MediaRejectedError.
    """
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        try:
            await _copy(url, file, session=session, limits=limits, executor=executor)
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


async def _copy(
    link: str,
    file: IO[bytes],
    *,
    session: aiohttp.ClientSession,
    limits: MediaLimits,
    executor: Executor | None,
) -> None:
    check_form(link)
    loop = asyncio.get_running_loop()
    byte_count = 0

    def append(block: bytes) -> None:
        file.write(block)
        file.flush()

    async with session.get(
        outgoing_url(link),
        headers={"Accept-Encoding": "identity"},
        timeout=aiohttp.ClientTimeout(
            total=limits.fetch_timeout_seconds, connect=limits.connect_timeout_seconds
        ),
        allow_redirects=False,
    ) as response:
        if response.status != 200:
            raise _refusal(response.status)
        if (response.content_length or 0) > limits.byte_count_max:
            raise _too_large(limits)
        async for block in _blocks(response.content):
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
