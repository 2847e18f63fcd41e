"""What all parts of a client share: whose key it is, where requests go, and when they are repeated."""

from __future__ import annotations

import json
import os
import platform
import re
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import count
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

import httpx2

from reelgate_client.drivers import Answer, Driver, T
from reelgate_client.errors import AuthenticationError, ConnectionFailedError, ReelgateError, error_of

D = TypeVar("D", bound=Driver)
Json: TypeAlias = Mapping[str, Any] | None
VERSION = "0.1.0"
PAGE = 100
USER_AGENT = f"reelgate-client/{VERSION} python/{platform.python_version()} httpx2/{httpx2.__version__}"
PAUSE_SECONDS_FIRST = 0.5
PAUSE_SECONDS_MAX = 8.0
RETRY_AFTER_SECONDS_MAX = 60.0
"""A longer Retry-After is cut to this."""
KEY = re.compile(r"(sk_seedancee2_(?:live|test)_|nxa_(?:live|test)_sk_)[!-~]{12,}")


class Contract(NamedTuple):
    """How the two contracts differ."""

    name: str
    key_prefix: str
    videos_path: str
    running: tuple[str, str]
    """Statuses of a video that goes on."""
    succeeded: str
    enveloped: bool
    """Whether a video stands in `{"data": …}`."""


SEEDANCEE2 = Contract(
    "Seedancee2", "sk_seedancee2_", "/v1/videos/generations", ("pending", "processing"), "completed", True
)
NEXTAPI = Contract("NextAPI", "nxa_", "/v1/video/generations", ("queued", "running"), "succeeded", False)

_answers: ContextVar[list[Answer] | None] = ContextVar("reelgate_client_answers", default=None)


@contextmanager
def recording() -> Iterator[list[Answer]]:
    """Yields a list that gets the answer of each call inside, in this thread or task."""
    answers: list[Answer] = []
    token = _answers.set(answers)
    try:
        yield answers
    finally:
        _answers.reset(token)


@dataclass(repr=False)
class Core(Generic[D]):
    """One client's settings, and the plan that every call follows."""

    contract: Contract
    api_key: str
    base_url: str
    timeout: float
    max_retries: int
    environment: str | None
    """What the customer said, not what the key says."""
    driver: D
    clock: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = secrets.SystemRandom().random

    async def call(
        self, method: str, path: str, body: Json = None, *, idempotency_key: str | None = None, **options: Any
    ) -> Answer:
        """Sends a request to the API, repeatedly where that may help. Takes the options of `request` and `attempts`.

        A POST has one idempotency key for all its attempts.
        """
        key = (idempotency_key or new_key()) if method == "POST" else None
        limits = {name: options.pop(name) for name in ("retries", "deadline") if name in options}
        request = self.request(method, path, body, {"Idempotency-Key": key}, **options)
        try:
            answer = await self.attempts(lambda: request, **limits)
        except ReelgateError as error:
            error.idempotency_key = key
            raise
        if (answers := _answers.get()) is not None:
            answers.append(answer)
        return answer

    async def attempts(
        self,
        built: Callable[[], httpx2.Request],
        *,
        retries: int | None = None,
        deadline: float = float("inf"),
        arrived: int = 0,
    ) -> Answer:
        """Sends a request until it succeeds, or raises what went wrong.

        `deadline` is a time of `clock`. From the second attempt on, the status `arrived` is a success too.
        """
        for attempt in count():
            try:
                answer = await self.driver.send(built())
                error = error_of(answer)
            except ConnectionFailedError as failed:
                error = failed
            if error is None or (attempt and error.status == arrived):
                return answer
            pause = self.pause(attempt, error)
            last = attempt >= (self.max_retries if retries is None else retries)
            if last or not error.retryable or self.clock() + pause >= deadline:
                raise error
            await self.driver.sleep(pause)
        raise AssertionError

    async def json(self, *request: Any, **options: Any) -> Any:
        """Returns the JSON of a success. Takes what `call` takes."""
        answer = await self.call(*request, **options)
        if not isinstance(answer.json, dict):
            raise ReelgateError(
                f"{self.base_url} answered with something that is no JSON", status=answer.status
            )
        return answer.json

    async def data(self, *request: Any, **options: Any) -> Any:
        """Returns the `data` of a success. Takes what `call` takes."""
        return (await self.json(*request, **options))["data"]

    async def pages(
        self, path: str, query: Mapping[str, Any], made: Callable[[Any], T] = lambda each: each
    ) -> AsyncGenerator[T, None]:
        """Yields what is `made` of each thing in a list, page by page."""
        params = {"limit": PAGE, **query}
        seen: set[str] = set()
        while True:
            page = await self.json("GET", path, params=params)
            for each in page["data"]:
                # What is created meanwhile pushes others beyond an offset.
                if each["id"] not in seen:
                    yield made(each)
            if page.get("has_more"):
                seen.update(each["id"] for each in page["data"])
                params["offset"] = page["offset"] + len(page["data"])
            elif "next_after" in page:
                params["after"] = page["next_after"]
            else:
                return

    def request(
        self,
        method: str,
        path: str,
        body: Json = None,
        headers: Json = None,
        params: Json = None,
        timeout: float = 0,
    ) -> Any:
        """Returns a request to the API, which alone gets the key. What is None is left out."""
        sent = {
            "Authorization": f"Bearer {self.api_key}",
            "User-Agent": USER_AGENT,
            "Accept": "application/json",
            "Content-Type": "application/json" if body is not None else None,
            "X-NextAPI-Environment": self.environment if self.contract is NEXTAPI else None,
            **(headers or {}),
        }
        return self.driver.built(
            method,
            self.base_url + path,
            {name: value for name, value in sent.items() if value is not None},
            None if body is None else json.dumps(body, allow_nan=False).encode(),
            params={name: value for name, value in (params or {}).items() if value is not None} or None,
            timeout=timeout or self.timeout,
        )

    def pause(self, attempt: int, error: ReelgateError | None = None) -> float:
        """Returns how many seconds to wait after a failed attempt; the first is attempt 0."""
        if error is not None and error.retry_after is not None:
            return min(error.retry_after, RETRY_AFTER_SECONDS_MAX) + self.jitter() * PAUSE_SECONDS_FIRST
        seconds = min(PAUSE_SECONDS_FIRST * 2.0 ** min(attempt, 10), PAUSE_SECONDS_MAX)
        return seconds * (0.5 + self.jitter() / 2)


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
    if not KEY.fullmatch(key) or not key.startswith(contract.key_prefix):
        raise AuthenticationError(
            f"{masked(key)} is no {contract.name} key: those begin with {contract.key_prefix}"
        )
    if environment not in {None, environment_of(key)}:
        raise AuthenticationError(f"{masked(key)} is a {environment_of(key)} key, and no {environment} key")
    return key


def checked_url(base_url: str | None) -> str:
    """Returns the address of the API without a slash at its end: the one given, or REELGATE_BASE_URL."""
    url = (base_url or os.environ.get("REELGATE_BASE_URL", "")).strip().rstrip("/")
    if not url.startswith(("http://", "https://")):
        raise ReelgateError(f"{url!r} is no http(s) address: give base_url, or set REELGATE_BASE_URL")
    return url


def environment_of(key: str) -> str:
    """Returns `live` or `test`, as a key says."""
    return "test" if "_test_" in key[:24] else "live"


def masked(key: str) -> str:
    """Returns what may be shown of a key: its prefix and its last 4 characters."""
    found = KEY.fullmatch(key)
    return f"{found[1]}…{key[-4:]}" if found else "What was given"
