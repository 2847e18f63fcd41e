"""Calls to other services, shared out among all processes behind a name.

Every call has a deadline, and a refusal arrives as the error it was.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2

from services.common.errors import REFUSAL_BY_GRPC, NewerReason, Reason, ServiceError, outage
from services.common.rpc.both_ends import ERROR_DOMAIN, request_id
from services.common.rpc.durations import DRAIN_SECONDS, LOOK_UP_SECONDS_MIN
from services.common.rpc.reach import Reach
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
_REASON_BY_CODE = {
    grpc.StatusCode.UNAVAILABLE: Reason.UNAVAILABLE,
    grpc.StatusCode.CANCELLED: Reason.UNAVAILABLE,  # by a server that is stopping
    grpc.StatusCode.DEADLINE_EXCEEDED: Reason.DEADLINE_EXCEEDED,
    grpc.StatusCode.PERMISSION_DENIED: Reason.UNAVAILABLE,  # to this service: an outage of ours, not the customer's
}


class _Calls(grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[type-arg]
    """Gives every call a deadline, the request id and its place in the trace, and turns a status back into the ServiceError it was.

    A call that was not begun is made again: of one that a stopping server had begun, nothing is heard for DRAIN_SECONDS
    but its answer, so one that is cancelled sooner came too late to be begun.
    """

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self.reach: Reach

    async def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        metadata = client_call_details.metadata or grpc.aio.Metadata()
        metadata.add("x-request-id", request_id.get())
        started = time.perf_counter()
        code = grpc.StatusCode.UNKNOWN.name
        with span(_span_name(client_call_details.method), kind=CALL) as called:
            if header := traceparent.get():
                metadata.add(HEADER, header)
            try:
                answer = await self._answer(
                    continuation, client_call_details._replace(metadata=metadata), request
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
                made(client_call_details.method).ended(code, time.perf_counter() - started)
        return answer

    async def _answer(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        """Makes a call until it was begun, and returns its answer."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + (details.timeout or self._timeout_seconds)
        for again in range(SENT_AGAIN_MAX + 1):
            # If nobody is reached any more when the call is made, it waits too.
            waits = await self.reach.someone() or details.wait_for_ready
            started = clock()
            call = await continuation(
                details._replace(timeout=deadline - started, wait_for_ready=waits), request
            )
            try:
                return await call
            except grpc.aio.AioRpcError as error:
                is_late = error.code() is grpc.StatusCode.CANCELLED and clock() - started < DRAIN_SECONDS
                if again == SENT_AGAIN_MAX or not is_late:
                    raise
        raise AssertionError("a call ends with its last attempt")


@cache
def _span_name(method: bytes) -> str:
    return method.decode().rpartition(".")[2]


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

    def made(credentials: grpc.ChannelCredentials | None) -> grpc.aio.Channel:
        calls = _Calls(timeout_seconds)
        options: Any = {"options": _CHANNEL_OPTIONS, "interceptors": [calls]}
        if credentials is None:
            channel = grpc.aio.insecure_channel(uri, **options)
        else:
            channel = grpc.aio.secure_channel(uri, credentials, **options)
        calls.reach = Reach(channel)
        return channel

    def protected(files: TlsFiles) -> grpc.aio.Channel:
        return made(channel_credentials(files))

    opened = made(None) if tls is None else renewed_channel(protected, tls)
    async with opened as channel:
        yield channel


def service_error(error: grpc.aio.AioRpcError) -> ServiceError:
    """Returns the refusal that a status carries.

    A reason that only a newer service knows is passed on under the gRPC status it came with. A status that is not ours
    becomes UNAVAILABLE, DEADLINE_EXCEEDED or INTERNAL.
    """
    trailers: Any = error.trailing_metadata() or ()
    for name, value in trailers:
        if name == "grpc-status-details-bin":
            known = _from_details(status_pb2.Status.FromString(value), grpc_status=error.code().name)
            if known is not None:
                return known
    reason = _REASON_BY_CODE.get(error.code(), Reason.INTERNAL)
    return outage(reason, detail=f"{error.code().name}: {error.details()}")


def _from_details(status: status_pb2.Status, *, grpc_status: str) -> ServiceError | None:
    for packed in status.details:
        detail = error_details_pb2.ErrorInfo()
        if packed.Unpack(detail) and detail.domain == ERROR_DOMAIN:
            reason = _reason(detail.reason, grpc_status)
            return None if reason is None else ServiceError(reason, status.message, **dict(detail.metadata))
    return None


def _reason(name: str, grpc_status: str) -> Reason | NewerReason | None:
    if name in Reason.__members__:
        return Reason(name)
    shown = REFUSAL_BY_GRPC.get(grpc_status)
    return None if shown is None else NewerReason(name, shown)
