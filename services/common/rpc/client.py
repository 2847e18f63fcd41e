"""Calls to other services, shared out among all processes behind a name.

Every call has a deadline, and a refusal arrives as the error it was.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, cast

import grpc
from google.rpc import status_pb2

from services.common.errors import ServiceError
from services.common.rpc.both_ends import request_id
from services.common.rpc.durations import DRAIN_SECONDS, LOOK_UP_SECONDS_MIN
from services.common.rpc.reach import Reach
from services.common.rpc.statuses import error_of
from services.common.telemetry.rpc_metrics import OK, made
from services.common.telemetry.tracing import CALL, HEADER, span, traceparent
from services.common.tls.channel import renewed_channel
from services.common.tls.credentials import channel_credentials
from services.common.tls.files import TlsFiles, TlsFolder

CALL_TIMEOUT_SECONDS = 5.0
SENT_AGAIN_MAX = 3
"""How often a call is made again that was not begun."""
_CHANNEL_OPTIONS = (
    ("grpc.lb_policy_name", "round_robin"),
    ("grpc.dns_min_time_between_resolutions_ms", int(1000 * LOOK_UP_SECONDS_MIN)),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 2_000),  # which is also how long one attempt to connect may take
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # A call is sent again only if it never left, or if the server said in its GOAWAY that it had not looked at it. There
    # is no policy for more: none is set here, and those that a name server offers are not taken.
    ("grpc.enable_retries", 1),
    ("grpc.service_config_disable_resolution", 1),
)
_ALL_CANCELLED = "Cancelling all calls"
"""What gRPC says of calls that a server had when it ended."""
Metadata = Iterable[tuple[str, str | bytes]]


class _Method:
    """Calls a method: with a deadline, the request id and its place in the trace. A status becomes the ServiceError it was.

    A call that was not begun is made again: of one that a stopping server had begun, nothing is heard for DRAIN_SECONDS
    but its answer, so one that is cancelled sooner came too late to be begun.
    """

    def __init__(self, call: Callable[..., Any], name: str, *, reach: Reach, timeout_seconds: float) -> None:
        self._call = call
        self._ended = made(name).ended
        self._span_name = name.rpartition(".")[2]
        self._reach = reach
        self._timeout_seconds = timeout_seconds

    async def __call__(
        self,
        request: Any,
        *,
        timeout: float | None = None,  # noqa: ASYNC109  as stubs are called
        metadata: Metadata | None = None,
        wait_for_ready: bool | None = None,
    ) -> Any:
        started = time.perf_counter()
        code = grpc.StatusCode.UNKNOWN.name
        with span(self._span_name, kind=CALL) as called:
            try:
                answer = await self._answer(
                    request, _sent(metadata), timeout or self._timeout_seconds, wait_for_ready
                )
                code = OK
            except grpc.aio.AioRpcError as error:
                code = error.code().name
                called.end_call(code)
                raise service_error(error) from error
            except asyncio.CancelledError:
                code = grpc.StatusCode.CANCELLED.name
                raise
            finally:
                self._ended(code, time.perf_counter() - started)
        return answer

    async def _answer(
        self, request: Any, metadata: Metadata, seconds: float, wait_for_ready: bool | None
    ) -> Any:
        """Makes a call until it was begun, and returns its answer."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + seconds
        for again in range(SENT_AGAIN_MAX + 1):
            # If nobody is reached any more when the call is made, it waits too.
            waits = await self._reach.someone() or wait_for_ready
            started = clock()
            try:
                return await self._call(
                    request, timeout=deadline - started, metadata=metadata, wait_for_ready=waits
                )
            except grpc.aio.AioRpcError as error:
                is_late = is_cut_off(error) and clock() - started < DRAIN_SECONDS
                if again == SENT_AGAIN_MAX or not is_late:
                    raise
        raise AssertionError("a call ends with its last attempt")


def _sent(metadata: Metadata | None) -> Metadata:
    header = traceparent.get()
    of_ours = (("x-request-id", request_id.get()), *(((HEADER, header),) if header else ()))
    return (*(metadata or ()), *of_ours)


class _Channel:
    """What stubs need of a channel. Our own methods take one message and answer with one.

    It stands where an interceptor could: those of grpc cost each call a task and two objects more.
    """

    def __init__(self, channel: grpc.aio.Channel, *, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._reach = Reach(channel)
        self._channel = channel
        self.unary_stream = channel.unary_stream
        self.stream_unary = channel.stream_unary
        self.stream_stream = channel.stream_stream
        self.channel_ready = channel.channel_ready
        self.get_state = channel.get_state
        self.wait_for_state_change = channel.wait_for_state_change
        self.close = channel.close

    def unary_unary(self, method: str, *coders: Any, **options: Any) -> _Method:
        """Returns what calls a method."""
        call = self._channel.unary_unary(method, *coders, **options)
        return _Method(call, method, reach=self._reach, timeout_seconds=self._timeout_seconds)


@asynccontextmanager
async def open_channel(
    target: str, *, tls: TlsFolder | None = None, timeout_seconds: float = CALL_TIMEOUT_SECONDS
) -> AsyncIterator[grpc.aio.Channel]:
    """Opens a channel to `host:port`, or `dns://SERVER:PORT/host:port`. It connects when first used.

    Calls are shared out evenly among all processes whose addresses the name has. It is looked up again whenever a
    connection ends. With `tls` both sides show their certificates, else it is plaintext. A call that names no deadline
    of its own gets `timeout_seconds`. Raises TlsError.
    """
    uri = target if target.startswith("dns:") else f"dns:///{target}"

    def surrounded(channel: grpc.aio.Channel) -> grpc.aio.Channel:
        return cast("grpc.aio.Channel", _Channel(channel, timeout_seconds=timeout_seconds))

    def protected(files: TlsFiles) -> grpc.aio.Channel:
        credentials = channel_credentials(files)
        return surrounded(grpc.aio.secure_channel(uri, credentials, options=_CHANNEL_OPTIONS))

    if tls is not None:
        async with renewed_channel(protected, tls) as renewed:
            yield renewed
        return
    async with grpc.aio.insecure_channel(uri, options=_CHANNEL_OPTIONS) as channel:
        yield surrounded(channel)


def is_cut_off(error: grpc.aio.AioRpcError) -> bool:
    """Returns whether a call failed because its server cancelled it, by itself or with all others at its end."""
    return error.code() is grpc.StatusCode.CANCELLED or (
        error.code() is grpc.StatusCode.UNAVAILABLE and error.details() == _ALL_CANCELLED
    )


def service_error(error: grpc.aio.AioRpcError) -> ServiceError:
    """Returns the refusal that a status carries, as `error_of` reads it."""
    trailers: Any = error.trailing_metadata() or ()
    for name, value in trailers:
        if name == "grpc-status-details-bin":
            return error_of(status_pb2.Status.FromString(value), code=error.code())
    return error_of(status_pb2.Status(message=error.details() or ""), code=error.code())


def is_method_unknown(error: ServiceError) -> bool:
    """Returns whether a call failed because the other side, of another release, has no such method."""
    cause = error.__cause__
    return isinstance(cause, grpc.aio.AioRpcError) and cause.code() is grpc.StatusCode.UNIMPLEMENTED
