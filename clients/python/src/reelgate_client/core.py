"""What all parts of a client share: whose key it is, where requests go, and when they are repeated."""

from __future__ import annotations

import json
import os
import platform
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Generic, TypeVar

import httpx2

from reelgate_client.drivers import Driver
from reelgate_client.effects import Answer, Plan, Request, Send, Sleep
from reelgate_client.errors import AuthenticationError, ConnectionFailedError, ReelgateError, error_of

D = TypeVar("D", bound=Driver)
VERSION = "0.1.0"
USER_AGENT = f"reelgate-client/{VERSION} python/{platform.python_version()} httpx2/{httpx2.__version__}"
PAUSE_SECONDS_FIRST = 0.5
PAUSE_SECONDS_MAX = 8.0
RETRY_AFTER_SECONDS_MAX = 60.0
"""A longer Retry-After is cut to this."""
KEY = re.compile(r"sk_seedancee2_(?P<a>live|test)_[!-~]+|nxa_(?P<b>live|test)_sk_[!-~]+")


@dataclass(frozen=True, kw_only=True)
class Contract:
    """How the two contracts differ."""

    name: str
    key_prefix: str
    videos_path: str
    running: frozenset[str]
    """Statuses of a video that goes on."""
    succeeded: str
    enveloped: bool
    """Whether a video stands in `{"data": …}`."""


SEEDANCEE2 = Contract(
    name="Seedancee2",
    key_prefix="sk_seedancee2_",
    videos_path="/v1/videos/generations",
    running=frozenset({"pending", "processing"}),
    succeeded="completed",
    enveloped=True,
)
NEXTAPI = Contract(
    name="NextAPI",
    key_prefix="nxa_",
    videos_path="/v1/video/generations",
    running=frozenset({"queued", "running"}),
    succeeded="succeeded",
    enveloped=False,
)


class RawResponse:
    """The last answer inside `with_raw_response()`."""

    status: int = 0
    headers: Mapping[str, str] = {}
    body: bytes = b""


_raw: ContextVar[RawResponse | None] = ContextVar("reelgate_client_raw_response", default=None)


@contextmanager
def recording() -> Iterator[RawResponse]:
    """Fills what it yields with the last answer of each call inside, in this thread or task."""
    token = _raw.set(raw := RawResponse())
    try:
        yield raw
    finally:
        _raw.reset(token)


@dataclass(kw_only=True)
class Core(Generic[D]):
    """One client's settings, and the plan that every call follows."""

    contract: Contract
    api_key: str = field(repr=False)
    base_url: str
    timeout: float
    max_retries: int
    environment: str | None
    """What the customer said, not what the key says."""
    driver: D
    clock: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = secrets.SystemRandom().random

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        params: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        retries: int | None = None,
        deadline: float = float("inf"),
    ) -> Plan[Answer]:
        """Sends a request, repeatedly where that may help and is safe. Returns the success, or raises what went wrong.

        A POST has one idempotency key for all its attempts. `deadline` is a time of `clock`.
        """
        if method == "POST":
            idempotency_key = idempotency_key or new_key()
        request = self.request(
            method, path, body, params=params, idempotency_key=idempotency_key, timeout=timeout
        )
        for attempt in count():
            try:
                answer: Answer = yield Send(request)
                error = error_of(answer)
            except ConnectionFailedError as failed:
                error = failed
            if error is None:
                return self.noted(answer)
            error.idempotency_key = idempotency_key
            pause = self.pause(attempt, error)
            last = attempt >= (self.max_retries if retries is None else retries)
            if last or not error.retryable or self.clock() + pause >= deadline:
                raise error
            yield Sleep(pause)
        raise AssertionError

    def json(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, **options: Any
    ) -> Plan[Any]:
        """Returns the JSON of a success."""
        answer = yield from self.call(method, path, body, **options)
        found = answer.json
        if not isinstance(found, dict):
            raise ReelgateError(
                f"{method} {path} answered {answer.status} with something else than JSON: is {self.base_url} the API?",
                status=answer.status,
            )
        return found

    def data(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, **options: Any
    ) -> Plan[Any]:
        """Returns the `data` of a success."""
        found = yield from self.json(method, path, body, **options)
        return found["data"]

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        params: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Request:
        """Returns a request to the API, which alone gets the key."""
        headers = {
            "Authorization": f"Bearer {self.api_key}",
            "User-Agent": USER_AGENT,
            "Accept": "application/json",
        }
        if self.environment is not None and self.contract is NEXTAPI:
            headers["X-NextAPI-Environment"] = self.environment
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        if body is not None:
            headers["Content-Type"] = "application/json"
        return Request(
            method,
            self.base_url + path,
            headers,
            params={name: value for name, value in (params or {}).items() if value is not None} or None,
            body=None if body is None else json.dumps(body, allow_nan=False).encode(),
            timeout=timeout or self.timeout,
        )

    def pause(self, attempt: int, error: ReelgateError | None = None) -> float:
        """Returns how many seconds to wait after a failed attempt; the first is attempt 0."""
        if error is not None and error.retry_after is not None:
            return min(error.retry_after, RETRY_AFTER_SECONDS_MAX) + self.jitter() * PAUSE_SECONDS_FIRST
        return min(PAUSE_SECONDS_FIRST * 2.0 ** min(attempt, 10), PAUSE_SECONDS_MAX) * (
            0.5 + self.jitter() / 2
        )

    def noted(self, answer: Answer) -> Answer:
        """Returns the answer, after it has been recorded where that was asked for."""
        if (raw := _raw.get()) is not None:
            raw.status, raw.headers, raw.body = answer.status, answer.headers, answer.body
        return answer


class Resource(Generic[D]):
    """A part of a client. Its methods block or are coroutines, by the driver."""

    def __init__(self, core: Core[D]) -> None:
        self.core = core


def new_key() -> str:
    """Returns an idempotency key that nobody has used."""
    return secrets.token_hex(16)


def checked_key(api_key: str | None, *, contract: Contract, environment: str | None) -> str:
    """Returns the key, or REELGATE_API_KEY. Raises AuthenticationError if it is not of the contract and environment."""
    key = (api_key or os.environ.get("REELGATE_API_KEY", "")).strip()
    if not key:
        raise AuthenticationError("There is no API key: give api_key, or set REELGATE_API_KEY")
    found = KEY.fullmatch(key)
    if found is None or not key.startswith(contract.key_prefix):
        raise AuthenticationError(
            f"{masked(key)} is no key of {contract.name}: those begin with {contract.key_prefix}"
        )
    if environment not in {None, environment_of(key)}:
        raise AuthenticationError(
            f"{masked(key)} is a {environment_of(key)} key, and environment={environment!r} was asked for"
        )
    return key


def checked_url(base_url: str | None) -> str:
    """Returns the address of the API without a slash at its end: the one given, or REELGATE_BASE_URL."""
    url = (base_url or os.environ.get("REELGATE_BASE_URL", "")).strip().rstrip("/")
    if not url.startswith(("http://", "https://")):
        raise ReelgateError(
            f"{url!r} is no address of the API: give base_url, or set REELGATE_BASE_URL, as in https://api.example.com"
        )
    return url


def environment_of(key: str) -> str:
    """Returns `live` or `test`."""
    found = KEY.fullmatch(key)
    return (found["a"] or found["b"]) if found else "unknown"


def masked(key: str) -> str:
    """Returns what may be shown of a key: its prefix and its last 4 characters."""
    found = re.match(r"sk_seedancee2_(live|test)_|nxa_(live|test)_sk_", key)
    return f"{found[0]}…{key[-4:]}" if found and len(key) > found.end() + 12 else "What was given"
