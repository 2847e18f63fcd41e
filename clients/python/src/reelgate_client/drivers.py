"""The two drivers of one code path.

What a client does is written once, as coroutines that do no I/O but through a driver. `Async` suspends them in asyncio.
`Sync` blocks inside each call, so its coroutines never suspend and run to their end in one step.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    NamedTuple,
    ParamSpec,
    TypeAlias,
    TypeVar,
    overload,
)

import httpx2

from reelgate_client.errors import ConnectionFailedError

if TYPE_CHECKING:
    from reelgate_client.core import Resource

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S")
A = TypeVar("A")
Plan: TypeAlias = Coroutine[Any, Any, T]
CHUNK_BYTES = 256 * 1024
CONNECT_SECONDS = 10.0


@dataclass(frozen=True)
class Answer:
    """What came back. Names of headers have no case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def json(self) -> Any:
        """Returns the parsed body. None: it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


class Stream(NamedTuple):
    """An answer that is being read: `read` returns b"" at its end, and raises ConnectionFailedError."""

    status: int
    headers: Mapping[str, str]
    read: Callable[[], Coroutine[Any, Any, bytes]]


class Driver:
    """Sends, waits and calls back."""

    def __init__(self, http: Any, library: Any, *ways: Any) -> None:
        if not isinstance(http, library | None):
            raise TypeError(f"http_client is an httpx2.{library.__name__}, and not {type(http).__name__}")
        self.http = library() if http is None else http
        self._wait, self._following, self._read, self._chunks, self._close = ways

    async def settled(self, value: Any) -> Any:
        """Returns a value of the library or of the customer, after awaiting it if this driver does."""
        return value

    def built(self, method: str, url: str, headers: Any, body: Any = None, **options: Any) -> Any:
        """Returns a request. A body that is a path is sent as the file it names."""
        seconds = options.pop("timeout")
        options["timeout"] = httpx2.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS))
        options["content"] = self._read(body) if isinstance(body, Path) else body
        return self.http.build_request(method, url, headers=headers, **options)

    @asynccontextmanager
    async def open(self, request: httpx2.Request, *, follow_redirects: bool = False) -> AsyncIterator[Stream]:
        """Sends a request. Raises ConnectionFailedError if no answer comes."""
        with _failures():
            sent = self.http.send(request, auth=None, follow_redirects=follow_redirects, stream=True)
            response = await self.settled(sent)
        # Without a size: with one, events would wait until they fill it.
        chunks = getattr(response, self._chunks)()

        async def read() -> bytes:
            with _failures():
                chunk: bytes = await self.settled(self._following(chunks, b""))
                return chunk

        try:
            yield Stream(response.status_code, response.headers, read)
        finally:
            await self.settled(getattr(response, self._close)())

    async def send(self, request: httpx2.Request) -> Answer:
        """Sends a request and reads the answer. Raises ConnectionFailedError."""
        async with self.open(request) as stream:
            return await whole(stream)

    async def sleep(self, seconds: float) -> None:
        """Lets time pass."""
        await self.settled(self._wait(seconds))


class Sync(Driver):
    """Blocks."""

    def __init__(self, http: Any) -> None:
        super().__init__(http, httpx2.Client, time.sleep, next, _file, "iter_bytes", "close")


class Async(Driver):
    """Suspends in asyncio."""

    def __init__(self, http: Any) -> None:
        super().__init__(http, httpx2.AsyncClient, asyncio.sleep, anext, _async_file, "aiter_bytes", "aclose")

    async def settled(self, value: Any) -> Any:
        """Returns the value, or what it returns when it is awaited."""
        return await value if inspect.isawaitable(value) else value


class Method(Generic[P, S, A]):
    """A method that returns an S if the client blocks and an A if it is for asyncio, made of one that returns an A."""

    def __init__(self, plan: Callable[Concatenate[Any, P], A], blocking: Callable[[Any], Any]) -> None:
        self.plan, self.blocking, self.__doc__ = plan, blocking, plan.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> Method[P, S, A]: ...
    @overload
    def __get__(self, instance: Resource[Sync], owner: type) -> Callable[P, S]: ...
    @overload
    def __get__(self, instance: Resource[Async], owner: type) -> Callable[P, A]: ...
    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        method = self.plan.__get__(instance)
        if not isinstance(instance.core.driver, Sync):
            return method
        return wraps(method)(lambda *arguments, **options: self.blocking(method(*arguments, **options)))


def operation(plan: Callable[Concatenate[Any, P], Plan[T]]) -> Method[P, T, Plan[T]]:
    """Makes a method that returns its result, or what is awaited for it."""
    return Method(plan, finished)


def iteration(
    plan: Callable[Concatenate[Any, P], AsyncGenerator[T, None]],
) -> Method[P, Iterator[T], AsyncGenerator[T, None]]:
    """Makes a method that returns an iterator, or an async one."""
    return Method(plan, _iterated)


def finished(plan: Plan[T]) -> T:
    """Returns what a coroutine returns that never suspends."""
    try:
        plan.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    plan.close()
    raise RuntimeError("a client that blocks cannot await what is not its own")


def _iterated(plan: AsyncGenerator[T, None]) -> Iterator[T]:
    try:
        with suppress(StopAsyncIteration):
            while True:
                yield finished(plan.__anext__())
    finally:
        finished(plan.aclose())


async def whole(stream: Stream) -> Answer:
    """Reads an answer to its end."""
    body = b""
    while chunk := await stream.read():
        body += chunk
    return Answer(stream.status, stream.headers, body)


def _file(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


async def _async_file(path: Path) -> AsyncIterator[bytes]:
    for chunk in _file(path):
        yield chunk


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except httpx2.RequestError as error:
        raise ConnectionFailedError(f"No answer: {str(error) or type(error).__name__}") from error
