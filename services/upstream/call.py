"""The one HTTP call that all adapters make: bounded, timed, traced, never redirected, sent once."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from services.common.egress.policy import ForbiddenUrlError
from services.common.egress.session_failures import session_failure_text
from services.common.egress.urls import outgoing_url
from services.common.telemetry.tracing import CALL, span
from services.upstream.bodies import UnusableBodyError
from services.upstream.provider import UnknownError, UnreachableError

BODY_BYTES_MAX = 4 * 1024 * 1024
CONNECT_TIMEOUT_SECONDS = 5.0
RETRY_AFTER_SECONDS_MAX = 300

_NOT_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, ForbiddenUrlError)
_FAILED = (aiohttp.ClientError, OSError, ForbiddenUrlError, UnusableBodyError)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a provider answered, whatever its status."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    """Looked up in any case."""

    @property
    def ok(self) -> bool:
        """Whether the status is one of success."""
        return 200 <= self.status < 300

    @property
    def retry_after_seconds(self) -> float | None:
        """What `Retry-After` asks for, at most five minutes; its date form would need the wall clock and is not read."""
        value = self.headers.get("Retry-After")
        if value is None or not (value.isascii() and value.isdigit()):
            return None
        return float(min(int(value[:9]), RETRY_AFTER_SECONDS_MAX))


class ProviderCalls:
    """Calls to one provider. `headers`, and with them the credential, go wherever a call goes: only adapters make URLs."""

    def __init__(self, session: aiohttp.ClientSession, *, headers: Mapping[str, str]) -> None:
        self._session = session
        self._headers = headers

    async def submit(
        self,
        url: str,
        *,
        timeout_seconds: float,
        json: Mapping[str, Any] | None = None,
        form: aiohttp.FormData | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Sends an order by POST. Raises UnreachableError if it surely was not sent, and UnknownError in any doubt."""
        try:
            return await self._call(
                "POST",
                url,
                timeout_seconds=timeout_seconds,
                json=json,
                form=form,
                query=query,
                headers=headers,
            )
        except _NOT_SENT as error:
            raise UnreachableError(session_failure_text(error)) from error
        except _FAILED as error:
            raise UnknownError(session_failure_text(error)) from error

    async def ask(
        self,
        url: str,
        *,
        timeout_seconds: float,
        method: str = "GET",
        json: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        """Asks what may be asked again. Raises UnreachableError for want of an answer."""
        try:
            return await self._call(method, url, timeout_seconds=timeout_seconds, json=json, query=query)
        except _FAILED as error:
            raise UnreachableError(session_failure_text(error)) from error

    async def _call(
        self,
        method: str,
        url: str,
        *,
        timeout_seconds: float,
        json: Mapping[str, Any] | None = None,
        form: aiohttp.FormData | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        # Connecting has a shorter limit of its own: if it is exceeded, nothing was sent.
        timeout = aiohttp.ClientTimeout(
            total=timeout_seconds, connect=min(CONNECT_TIMEOUT_SECONDS, timeout_seconds / 2)
        )
        with span(f"provider {method}", kind=CALL) as called:
            async with self._session.request(
                method,
                outgoing_url(url, query),
                json=json,
                data=form,
                headers={**self._headers, **(headers or {})},
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                called.note(status=response.status)
                return Answer(
                    status=response.status, body=await _bounded_body(response), headers=response.headers
                )


@asynccontextmanager
async def within(timeout_seconds: float) -> AsyncIterator[None]:
    """Bounds what may be asked again, of several calls. Raises UnreachableError when the time is over."""
    try:
        async with asyncio.timeout(timeout_seconds):
            yield
    except TimeoutError as error:
        raise UnreachableError("no answer in time") from error


async def _bounded_body(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise UnusableBodyError("body too large")
    return bytes(body)
