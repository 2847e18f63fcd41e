"""The port Receivers, over HTTP."""

import asyncio
import errno
import os
import socket
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import aiohttp

from services.common.clock import Clock
from services.common.egress import ForbiddenUrlError
from services.webhooks.domain import EXCERPT_BYTES_MAX, Answer, NoAnswer

DELIVERY_TIMEOUT_SECONDS = 15.0
"""For everything from the name's look-up to the end of the answer."""
ANSWER_BYTES_MAX = 64 * 1024

_OUR_ERRORS = frozenset(
    {
        socket.EAI_AGAIN, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL,
        errno.ENETDOWN, errno.ENETUNREACH,
    }
)  # fmt: skip


class HttpReceivers:
    """Posts through a session that guards where it connects to."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        clock: Clock,
        timeout_seconds: float = DELIVERY_TIMEOUT_SECONDS,
    ) -> None:
        self._session = session
        self._clock = clock
        self._timeout_seconds = timeout_seconds

    async def post(self, url: str, *, headers: dict[str, str], body: bytes) -> Answer | NoAnswer:
        """See Receivers. An answer that is not over in time is none; one over ANSWER_BYTES_MAX is cut there."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                try:
                    return await self._post(url, headers, body)
                except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                    if isinstance(error, aiohttp.ClientConnectorError):
                        raise
                    # A kept connection may have been closed a moment before; that says nothing about the receiver.
                    return await self._post(url, headers, body)
        except ForbiddenUrlError as error:
            return NoAnswer(error=f"the address {error.why}", is_ours=False)
        except TimeoutError:
            return NoAnswer(error=f"no whole answer within {self._timeout_seconds:g} seconds", is_ours=False)
        except OSError as error:
            return NoAnswer(error=_describe(error), is_ours=error.errno in _OUR_ERRORS)
        except aiohttp.ClientError:
            return NoAnswer(error="the answer was cut short or is not HTTP", is_ours=False)

    async def _post(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        async with self._session.post(url, headers=headers, data=body, allow_redirects=False) as response:
            retry_after = response.headers.get("Retry-After", "")
            return Answer(
                status=response.status,
                excerpt=await _read_excerpt(response),
                retry_after_seconds=retry_after_seconds(retry_after, now=self._clock()),
            )


def retry_after_seconds(text: str, *, now: datetime) -> int:
    """Returns the wait that a Retry-After header asks for: RFC 9110, section 10.2.3. 0 for what is none."""
    try:
        if text.isascii() and text.isdecimal():
            return int(text)
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return 0
    wait = moment.replace(tzinfo=moment.tzinfo or UTC) - now
    return max(0, -(-wait // timedelta(seconds=1)))


async def _read_excerpt(response: aiohttp.ClientResponse) -> bytes:
    excerpt = bytearray()
    byte_count = 0
    async for piece in response.content.iter_any():
        excerpt += piece[: EXCERPT_BYTES_MAX - len(excerpt)]
        byte_count += len(piece)
        if byte_count > ANSWER_BYTES_MAX:
            response.close()
            break
    return bytes(excerpt)


def _describe(error: OSError) -> str:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the host name does not resolve"
    if isinstance(error, (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError)):
        return "no secure connection: the certificate or protocol was not accepted"
    return os.strerror(error.errno).lower() if error.errno else "the connection broke"
