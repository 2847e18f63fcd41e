"""Calls to other services: every one has a deadline, and a refusal arrives as the error it was."""

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
from services.common.telemetry.rpc_metrics import OK, made
from services.common.telemetry.tracing import CALL, HEADER, span, traceparent
from services.common.tls.channel import renewed_channel
from services.common.tls.credentials import channel_credentials
from services.common.tls.files import TlsFiles, TlsFolder

CALL_TIMEOUT_SECONDS = 5.0
_CHANNEL_OPTIONS = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 2_000),  # which is also how long one attempt to connect may take
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.enable_retries", 0),
)
_REASON_BY_CODE = {
    grpc.StatusCode.UNAVAILABLE: Reason.UNAVAILABLE,
    grpc.StatusCode.CANCELLED: Reason.UNAVAILABLE,  # by a server that is stopping
    grpc.StatusCode.DEADLINE_EXCEEDED: Reason.DEADLINE_EXCEEDED,
    grpc.StatusCode.PERMISSION_DENIED: Reason.UNAVAILABLE,  # to this service: an outage of ours, not the customer's
}


class _Errors(grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[type-arg]
    """Gives every call a deadline, the request id and its place in the trace, and turns a status back into the ServiceError it was."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds

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
            details = client_call_details._replace(
                timeout=client_call_details.timeout or self._timeout_seconds, metadata=metadata
            )
            try:
                answer = await (await continuation(details, request))
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


@cache
def _span_name(method: bytes) -> str:
    return method.decode().rpartition(".")[2]


@asynccontextmanager
async def open_channel(
    target: str, *, tls: TlsFolder | None = None, timeout_seconds: float = CALL_TIMEOUT_SECONDS
) -> AsyncIterator[grpc.aio.Channel]:
    """Opens a channel to `host:port`. It connects when first used, and again whenever the other side is back.

    With `tls` both sides show their certificates, else it is plaintext. A call that names no deadline of its own gets
    `timeout_seconds`. Raises TlsError.
    """
    options: Any = {"options": _CHANNEL_OPTIONS, "interceptors": [_Errors(timeout_seconds)]}

    def protected(files: TlsFiles) -> grpc.aio.Channel:
        return grpc.aio.secure_channel(target, channel_credentials(files), **options)

    opened = grpc.aio.insecure_channel(target, **options) if tls is None else renewed_channel(protected, tls)
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
