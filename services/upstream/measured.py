"""A provider that tells how long its answers took and how its calls failed."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from services.common.telemetry.metrics import JOBS_API, JOBS_WORKER, counter, histogram
from services.upstream.provider import (
    BrokenError,
    BusyError,
    Done,
    Hint,
    Order,
    Pending,
    Provider,
    Refused,
    RefusedError,
    UnknownError,
    UnreachableError,
    UnsearchableError,
    UpstreamError,
)

_OPERATIONS = ("submit", "find", "carries", "check", "cancel", "read_callback")
_CLASSES: dict[type[UpstreamError], str] = {
    RefusedError: "refused",
    BusyError: "busy",
    UnreachableError: "unreachable",
    UnknownError: "unknown",
    BrokenError: "broken",
    UnsearchableError: "unsearchable",
}
_SECONDS = histogram(
    "reelgate_provider_seconds",
    "How long calls to a provider took that it answered.",
    labels=("route", "operation"),
    of=(JOBS_API, JOBS_WORKER),
)
_FAILURES = counter(
    "reelgate_provider_failures_total",
    "Calls to a provider that failed: it `refused` the order, was `busy` or `unreachable`, may have begun and did not"
    " say so (`unknown`), cannot be asked for a lost task (`unsearchable`), or our access is `broken`.",
    labels=("route", "operation", "class"),
    of=(JOBS_API, JOBS_WORKER),
)


class MeasuredProvider:
    """Fulfils Provider by another one. `route` is what the settings call it."""

    def __init__(self, provider: Provider, *, route: str) -> None:
        self._provider = provider
        self._seconds = {operation: _SECONDS.labels(route, operation) for operation in _OPERATIONS}
        self._failures = {
            (operation, kind): _FAILURES.labels(route, operation, name)
            for operation in _OPERATIONS
            for kind, name in _CLASSES.items()
        }

    async def submit(
        self, order: Order, *, correlation_id: str, callback_url: str | None, timeout_seconds: float
    ) -> str:
        """As `Provider` says."""
        with self._measured("submit"):
            return await self._provider.submit(
                order,
                correlation_id=correlation_id,
                callback_url=callback_url,
                timeout_seconds=timeout_seconds,
            )

    async def find(
        self, correlation_id: str, *, model: str, created_after: float, timeout_seconds: float
    ) -> str | None:
        """As `Provider` says."""
        with self._measured("find"):
            return await self._provider.find(
                correlation_id, model=model, created_after=created_after, timeout_seconds=timeout_seconds
            )

    async def carries(self, task_id: str, correlation_id: str, *, timeout_seconds: float) -> bool:
        """As `Provider` says."""
        with self._measured("carries"):
            return await self._provider.carries(task_id, correlation_id, timeout_seconds=timeout_seconds)

    async def check(self, task_id: str, *, timeout_seconds: float) -> Pending | Done | Refused:
        """As `Provider` says."""
        with self._measured("check"):
            return await self._provider.check(task_id, timeout_seconds=timeout_seconds)

    async def cancel(self, task_id: str, *, timeout_seconds: float) -> bool:
        """As `Provider` says."""
        with self._measured("cancel"):
            return await self._provider.cancel(task_id, timeout_seconds=timeout_seconds)

    async def read_callback(self, headers: Mapping[str, str], body: bytes, *, model: str) -> Hint | None:
        """As `Provider` says."""
        with self._measured("read_callback"):
            return await self._provider.read_callback(headers, body, model=model)

    def media_headers(self, url: str) -> Mapping[str, str]:
        """As `Provider` says."""
        return self._provider.media_headers(url)

    @contextmanager
    def _measured(self, operation: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        except UpstreamError as error:
            self._failures[operation, type(error)].inc()
            raise
        self._seconds[operation].observe(time.perf_counter() - started)
