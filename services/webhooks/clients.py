"""The servers of customers, which receive webhooks over HTTP."""

import errno
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from services.common.clock import Clock
from services.common.egress.answer import AnswerError
from services.common.egress.failures import failure_text
from services.common.egress.policy import ForbiddenUrlError, UrlPolicy
from services.common.egress.poster import Poster, open_poster
from services.common.egress.sockets import LookUp
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
    """Posts through a client that guards where it connects to."""

    def __init__(
        self,
        poster: Poster,
        *,
        clock: Clock,
        timeout_seconds: float,
    ) -> None:
        self._poster = poster
        self._clock = clock
        self._timeout_seconds = timeout_seconds

    async def post(self, url: str, *, headers: dict[str, str], body: bytes) -> Answer | NoAnswer:
        """Sends one request and waits for the answer, for a bounded time.

        The status line decides: what follows it may be late, broken or too long.
        """
        try:
            answered = await self._poster.post(
                url, headers=headers, body=body, timeout_seconds=self._timeout_seconds
            )
        except TimeoutError as error:
            if error.errno is not None:
                return NoAnswer(error=failure_text(error), is_ours=False)
            return NoAnswer(error=f"no answer within {self._timeout_seconds:g} seconds", is_ours=False)
        except OSError as error:
            return NoAnswer(error=failure_text(error), is_ours=error.errno in _OUR_ERRORS)
        except (ForbiddenUrlError, AnswerError) as error:
            return NoAnswer(error=failure_text(error), is_ours=False)
        retry_after = answered.headers.get("retry-after", "")
        return Answer(
            status=answered.status,
            excerpt=answered.excerpt,
            retry_after_seconds=retry_after_seconds(retry_after, now=self._clock()),
        )


@asynccontextmanager
async def open_receivers(
    policy: UrlPolicy,
    *,
    clock: Clock,
    connections_max: int,
    timeout_seconds: float = DELIVERY_TIMEOUT_SECONDS,
    look_up: LookUp | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[HttpReceivers]:
    """Opens the way to the customers' servers, as far as the policy allows. Names are looked up in the DNS by default."""
    async with open_poster(
        policy,
        connections_max=connections_max,
        excerpt_bytes_max=EXCERPT_BYTES_MAX,
        body_bytes_max=ANSWER_BYTES_MAX,
        look_up=look_up,
        tls=tls,
    ) as poster:
        yield HttpReceivers(poster, clock=clock, timeout_seconds=timeout_seconds)


def retry_after_seconds(text: str, *, now: datetime) -> int:
    """Returns the wait that a Retry-After header asks for: RFC 9110, section 10.2.3. 0 for an invalid one."""
    try:
        if text.isascii() and text.isdecimal():
            return int(text)
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return 0
    wait = moment.replace(tzinfo=moment.tzinfo or UTC) - now
    return max(0, -(-wait // timedelta(seconds=1)))
