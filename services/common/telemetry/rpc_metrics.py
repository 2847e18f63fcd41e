"""Calls: how many of each method ended how, and how long those took that succeeded."""

import asyncio
from collections.abc import Iterable
from contextvars import ContextVar
from functools import cache
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from grpc.aio import ServicerContext
from prometheus_client import Counter, Histogram

from services.common.telemetry.metrics import JOBS_API, JOBS_WORKER, WEBHOOKS_API, counter, histogram

OK = "OK"
LAST_MOMENT_SECONDS = 0.1
"""A caller whose deadline is this near has run out of time rather than left: its clock began before ours."""
CODES = tuple(code.name for code in grpc.StatusCode)

_SERVED = counter(
    "reelgate_rpc_total", "Calls that this process answered, by gRPC status.", labels=("method", "code")
)
_SERVED_SECONDS = histogram(
    "reelgate_rpc_seconds",
    "How long the calls took that ended in OK; of a stream, until its first message. One that waits for a job at its"
    " caller's wish is not timed.",
    labels=("method",),
)
_MADE = counter(
    "reelgate_client_rpc_total",
    "Calls to other services, by gRPC status.",
    labels=("method", "code"),
    of=(JOBS_API, JOBS_WORKER, WEBHOOKS_API),
)
_MADE_SECONDS = histogram(
    "reelgate_client_rpc_seconds",
    "How long the calls to other services took that ended in OK.",
    labels=("method",),
    of=(JOBS_API, JOBS_WORKER, WEBHOOKS_API),
)


_waits: ContextVar[bool] = ContextVar("waits", default=False)


def leave_untimed() -> None:
    """Has the call that is being answered counted without its time, because its caller wants it to wait."""
    _waits.set(True)


def is_untimed() -> bool:
    """Tells whether the call that is being answered waits at its caller's wish."""
    return _waits.get()


class Calls:
    """The calls of one method."""

    def __init__(self, method: str, *, count: Counter, seconds: Histogram) -> None:
        label = _short(method)
        self._ended = {code: count.labels(label, code).inc for code in CODES}
        self._took = seconds.labels(label).observe

    def ended(self, code: str, seconds: float | None) -> None:
        """Counts a call that ended with a status after this time; None: its time says nothing about us."""
        self._ended[code]()
        if code == OK and seconds is not None:
            self._took(seconds)


@cache
def served(method: str) -> Calls:
    """Returns the calls that this process answers of `/package.Service/Method`."""
    return Calls(method, count=_SERVED, seconds=_SERVED_SECONDS)


@cache
def made(method: str) -> Calls:
    """Returns the calls that this process makes of `/package.Service/Method`."""
    return Calls(method, count=_MADE, seconds=_MADE_SECONDS)


def bind_services(names: Iterable[str]) -> None:
    """Lets every method of services count from 0, so that the first failure of one shows as a change."""
    for name in names:
        for method in descriptor_pool.Default().FindServiceByName(name).methods:
            served(f"/{name}/{method.name}")


def code_of_failure(error: BaseException, context: ServicerContext[Any, Any]) -> str:
    """Returns the gRPC status that a served call ends with that raised `error`."""
    if isinstance(error, asyncio.CancelledError):
        left: Any = context.time_remaining()
        return "CANCELLED" if left is None or left > LAST_MOMENT_SECONDS else "DEADLINE_EXCEEDED"
    code: Any = context.code()
    return code.name if isinstance(code, grpc.StatusCode) else "UNKNOWN"


def _short(method: str) -> str:
    """Returns `Service/Method`."""
    return method.rpartition(".")[2]
