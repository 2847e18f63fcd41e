"""The two drivers, which carry out plans: `Sync` blocks, `Async` is for asyncio. Both do the same, effect by effect."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

import httpx2

from reelgate_client.effects import (
    Answer,
    Call,
    Effect,
    Emit,
    Emitting,
    Open,
    Plan,
    Read,
    Request,
    Send,
    Sleep,
)
from reelgate_client.errors import ConnectionFailedError

if TYPE_CHECKING:
    from reelgate_client.core import Resource

P = ParamSpec("P")
T = TypeVar("T")
CHUNK_BYTES = 256 * 1024


class _Steps(Generic[T]):
    """A plan under way: iterates over its effects, and sends it what became of the last one."""

    def __init__(self, plan: Generator[Any, Any, T]) -> None:
        self._plan = plan
        self.answer: Any = None
        self.error: BaseException | None = None
        self.result: T
        self.opened: httpx2.Response | None = None
        self.chunks: Any = None

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        answer, self.answer = self.answer, None
        error, self.error = self.error, None
        try:
            return self._plan.throw(error) if error else self._plan.send(answer)
        except StopIteration as end:
            self.result = end.value
            raise

    def close(self) -> httpx2.Response | None:
        """Ends the plan. Returns what is to be closed."""
        self._plan.close()
        return self.opened


class Driver:
    """Carries out plans."""


class Sync(Driver):
    """Carries out plans by blocking."""

    def __init__(self, http: httpx2.Client | None) -> None:
        self.http = http or httpx2.Client()
        self.sleep: Callable[[float], Any] = time.sleep

    def run(self, plan: Plan[T]) -> T:
        """Returns what the plan returns."""
        steps = _Steps(plan)
        for _ in self._go(steps):
            pass
        return steps.result

    def iterate(self, plan: Emitting[T]) -> Iterator[T]:
        """Yields what the plan emits."""
        return self._go(_Steps(plan))

    def _go(self, steps: _Steps[Any]) -> Iterator[Any]:
        try:
            for effect in steps:
                if isinstance(effect, Emit):
                    yield effect.value
                    continue
                try:
                    steps.answer = self._perform(effect, steps)
                except BaseException as error:  # noqa: BLE001  the plan decides, and raises it again
                    steps.error = error
        finally:
            if (opened := steps.close()) is not None:
                opened.close()

    def _perform(self, effect: Effect, steps: _Steps[Any]) -> Any:
        with _failures():
            match effect:
                case Sleep():
                    return self.sleep(effect.seconds)
                case Call():
                    return effect.function(effect.argument)
                case Read():
                    return next(steps.chunks, b"")
                case Send():
                    return self._send(effect, steps)

    def _send(self, effect: Send, steps: _Steps[Any]) -> Answer:
        streaming = isinstance(effect, Open)
        if streaming and steps.opened is not None:
            steps.opened.close()
        response = self.http.send(
            _built(self.http, effect.request, _chunks),
            auth=None,
            follow_redirects=effect.request.follow_redirects,
            stream=True,
        )
        if streaming:
            steps.opened, steps.chunks = response, response.iter_raw(CHUNK_BYTES)
        if not streaming or response.status_code >= 300:
            try:
                response.read()
            finally:
                response.close()
        return _answer(response)


class Async(Driver):
    """Carries out plans in asyncio."""

    def __init__(self, http: httpx2.AsyncClient | None) -> None:
        self.http = http or httpx2.AsyncClient()
        self.sleep: Callable[[float], Coroutine[Any, Any, Any]] = asyncio.sleep

    async def run(self, plan: Plan[T]) -> T:
        """Returns what the plan returns."""
        steps = _Steps(plan)
        async for _ in self._go(steps):
            pass
        return steps.result

    def iterate(self, plan: Emitting[T]) -> AsyncIterator[T]:
        """Yields what the plan emits."""
        return self._go(_Steps(plan))

    async def _go(self, steps: _Steps[Any]) -> AsyncIterator[Any]:
        try:
            for effect in steps:
                if isinstance(effect, Emit):
                    yield effect.value
                    continue
                try:
                    steps.answer = await self._perform(effect, steps)
                except BaseException as error:  # noqa: BLE001  the plan decides, and raises it again
                    steps.error = error
        finally:
            if (opened := steps.close()) is not None:
                await opened.aclose()

    async def _perform(self, effect: Effect, steps: _Steps[Any]) -> Any:
        with _failures():
            match effect:
                case Sleep():
                    return await self.sleep(effect.seconds)
                case Call():
                    returned = effect.function(effect.argument)
                    return await returned if inspect.isawaitable(returned) else returned
                case Read():
                    return await anext(steps.chunks, b"")
                case Send():
                    return await self._send(effect, steps)

    async def _send(self, effect: Send, steps: _Steps[Any]) -> Answer:
        streaming = isinstance(effect, Open)
        if streaming and steps.opened is not None:
            await steps.opened.aclose()
        response = await self.http.send(
            _built(self.http, effect.request, _async_chunks),
            auth=None,
            follow_redirects=effect.request.follow_redirects,
            stream=True,
        )
        if streaming:
            steps.opened, steps.chunks = response, response.aiter_raw(CHUNK_BYTES)
        if not streaming or response.status_code >= 300:
            try:
                await response.aread()
            finally:
                await response.aclose()
        return _answer(response)


class operation(Generic[P, T]):  # noqa: N801  a decorator
    """Makes a method of a function that returns a plan: one that returns its result, or a coroutine, by the driver."""

    def __init__(self, plan: Callable[Concatenate[Any, P], Plan[T]]) -> None:
        self.plan = plan
        self.__doc__ = plan.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> operation[P, T]: ...
    @overload
    def __get__(self, instance: Resource[Sync], owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, instance: Resource[Async], owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, instance: Any, owner: type) -> Any:
        return _bound(self.plan, instance, lambda driver: driver.run) if instance is not None else self


class iteration(Generic[P, T]):  # noqa: N801  a decorator
    """Makes a method of a function that returns a plan: one that returns an iterator over what it emits."""

    def __init__(self, plan: Callable[Concatenate[Any, P], Emitting[T]]) -> None:
        self.plan = plan
        self.__doc__ = plan.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> iteration[P, T]: ...
    @overload
    def __get__(self, instance: Resource[Sync], owner: type) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, instance: Resource[Async], owner: type) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, instance: Any, owner: type) -> Any:
        return _bound(self.plan, instance, lambda driver: driver.iterate) if instance is not None else self


def _bound(plan: Any, instance: Any, way: Callable[[Any], Callable[[Any], Any]]) -> Callable[..., Any]:
    method = plan.__get__(instance)

    @wraps(method)
    def call(*arguments: Any, **options: Any) -> Any:
        return way(instance.core.driver)(method(*arguments, **options))

    return call


def _built(
    http: httpx2.Client | httpx2.AsyncClient, request: Request, read: Callable[[Path], Any]
) -> httpx2.Request:
    content = read(request.body) if isinstance(request.body, Path) else request.body
    return http.build_request(
        request.method,
        request.url,
        headers=dict(request.headers),
        params=request.params,
        content=content,
        timeout=request.timeout,
    )


def _answer(response: httpx2.Response) -> Answer:
    body = response.content if response.is_closed else b""
    return Answer(response.status_code, response.headers, body)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


async def _async_chunks(path: Path) -> AsyncIterator[bytes]:
    for chunk in _chunks(path):
        yield chunk


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except httpx2.RequestError as error:
        raise ConnectionFailedError(f"No answer: {str(error) or type(error).__name__}") from error
