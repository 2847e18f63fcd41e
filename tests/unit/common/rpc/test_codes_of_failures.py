"""Under which status a call is counted that its caller did not wait for."""

import asyncio
from typing import Any, cast

import grpc
import pytest
from grpc.aio import ServicerContext

from services.common.telemetry.rpc_metrics import LAST_MOMENT_SECONDS, code_of_failure


class Context:
    """What is asked of a call."""

    def __init__(self, *, left: float | None = None, code: object = None) -> None:
        self._left = left
        self._code = code

    def time_remaining(self) -> float | None:
        return self._left

    def code(self) -> object:
        return self._code


@pytest.mark.parametrize(
    ("error", "context", "code"),
    [
        (asyncio.CancelledError(), Context(left=None), "CANCELLED"),
        (asyncio.CancelledError(), Context(left=LAST_MOMENT_SECONDS * 2), "CANCELLED"),
        (asyncio.CancelledError(), Context(left=LAST_MOMENT_SECONDS / 2), "DEADLINE_EXCEEDED"),
        (asyncio.CancelledError(), Context(left=0.0), "DEADLINE_EXCEEDED"),
        (grpc.aio.AbortError(), Context(code=grpc.StatusCode.NOT_FOUND), "NOT_FOUND"),
        (RuntimeError(), Context(code=0), "UNKNOWN"),
    ],
)
def test_a_failed_call_has_a_status(error: BaseException, context: Context, code: str) -> None:
    assert code_of_failure(error, cast("ServicerContext[Any, Any]", context)) == code
