"""What surrounds every method of every server, in one order: request id and log line, errors, caller, limits.

One interceptor composes plain functions once per method, because each interceptor of grpc's own costs every request.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, cast

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError, Message
from grpc.aio import ServicerContext

from services.common.errors import ServiceError
from services.common.rpc.both_ends import request_id
from services.common.rpc.refusals import refusal_of
from services.common.rpc.statuses import status_of
from services.common.rpc.trailing_headers import COPIED, COPIES
from services.common.telemetry.call_lines import LOGGER, CallLine, note_call
from services.common.telemetry.rpc_metrics import OK, code_of_failure, is_untimed, served
from services.common.telemetry.tracing import ANSWER, HEADER, span, traceparent

log = logging.getLogger(LOGGER)

Handler = Callable[[Any, ServicerContext[Any, Any]], Awaitable[Any]]
"""A method as middleware sees it. It returns a message or its bytes, and for a stream what `_opened` returns."""
RpcHandler = Any
"""A grpc.RpcMethodHandler, whose generic type exists only in stubs."""
Deserializer = Callable[[bytes], Message]
Middleware = Callable[[str, Handler], Handler]
"""Takes a full method name (`/package.Service/Method`) and what is inside, and returns what surrounds it."""

OURS = "/reelgate."
NEXTAPI = "/reelgate.nextapi."
account: ContextVar[str] = ContextVar("account", default="")
"""Whose key the call shows. Empty where no key is asked for."""
contract: ContextVar[str] = ContextVar("contract", default="seedancee2")
"""Whose error envelope the call is answered in: NextAPI's in its own methods, else that of the key's contract."""
_answer_headers: ContextVar[dict[str, str]] = ContextVar("answer_headers")
_metadata: ContextVar[Mapping[str, str] | None] = ContextVar("metadata", default=None)


def answer_header(name: str, value: str) -> None:
    """Sets a header of the answer to the call being served, whether it succeeds or is refused."""
    _answer_headers.get()[name] = value


@dataclass(frozen=True)
class Unreadable:
    """Stands for a request that was not read: the middleware `bounded` refuses it, once it is known who sent it."""

    why: str


class MiddlewareInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """Surrounds every method of ours with middleware, outermost first. Health and reflection pass untouched.

    For a stream, the middleware surrounds the way to its first message; what fails later ends the stream.
    """

    def __init__(self, middleware: Sequence[Middleware], *, request_bytes_max: int) -> None:
        self._middleware = tuple(middleware)
        self._request_bytes_max = request_bytes_max
        self._handlers: dict[str, RpcHandler] = {}
        self._is_closed = False
        self.running: set[asyncio.Task[Any]] = set()
        """Calls of our methods that were begun, until their callers were answered."""

    def close(self) -> None:
        """Begins no more calls: they end as those do that came too late."""
        self._is_closed = True

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[RpcHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> RpcHandler:
        """Returns the surrounded method, composed at its first call."""
        method = handler_call_details.method
        # For all that reads it: a context makes another copy each time it is asked.
        _metadata.set(_texts(handler_call_details.invocation_metadata))
        known = self._handlers.get(method)
        if known is None:
            handler = await continuation(handler_call_details)
            if handler is None or not method.startswith(OURS):
                return handler
            self._handlers[method] = known = self._surround(method, handler)
        if self._is_closed:
            return _TOO_LATE
        task = asyncio.current_task()
        assert task is not None
        self.running.add(task)
        task.add_done_callback(self.running.discard)
        return known

    def _surround(self, method: str, handler: RpcHandler) -> RpcHandler:
        streams = handler.unary_unary is None
        surrounded = _opened(handler.unary_stream) if streams else cast("Handler", handler.unary_unary)
        for middleware in reversed(self._middleware):
            surrounded = middleware(method, surrounded)
        coders = {
            "request_deserializer": _tolerant(
                cast("Deserializer", handler.request_deserializer), bytes_max=self._request_bytes_max
            ),
            "response_serializer": _written,
        }
        if streams:
            return grpc.unary_stream_rpc_method_handler(_streamed(surrounded), **coders)
        return grpc.unary_unary_rpc_method_handler(surrounded, **coders)


async def _come_too_late(_request: bytes, context: ServicerContext[Any, Any]) -> None:
    await context.abort(grpc.StatusCode.CANCELLED, "The server is stopping.")


_TOO_LATE = grpc.unary_unary_rpc_method_handler(_come_too_late)


def _opened(stream: Callable[[Any, ServicerContext[Any, Any]], AsyncIterator[Message]]) -> Handler:
    """Returns what runs a stream up to its first message, and returns that and the rest."""

    async def call(request: Any, context: ServicerContext[Any, Any]) -> Any:
        messages = stream(request, context)
        return await anext(messages), messages

    return call


def _streamed(opened: Handler) -> Callable[[Any, ServicerContext[Any, Any]], AsyncIterator[Message]]:
    async def call(request: Any, context: ServicerContext[Any, Any]) -> AsyncIterator[Message]:
        first, rest = await opened(request, context)
        yield first
        async for message in rest:
            yield message

    return call


def _written(answer: Message | bytes) -> bytes:
    # Otherwise the order of a map changes each time and from process to process.
    return answer if isinstance(answer, bytes) else answer.SerializeToString(deterministic=True)


def _tolerant(deserialize: Deserializer, *, bytes_max: int) -> Callable[[bytes], Message | Unreadable]:
    def read(data: bytes) -> Message | Unreadable:
        if len(data) > bytes_max:
            return Unreadable(
                f"The request is too large: as a message it may have {bytes_max // 1024} KiB. Send less."
            )
        try:
            return deserialize(data)
        except DecodeError:
            return Unreadable(_unread(data))

    return read


def _unread(data: bytes) -> str:
    """Says why bytes are not the message that they should be."""
    try:
        # To which every field is unknown: it passes what is whole, whatever the fields hold.
        Empty.FromString(data)
    except DecodeError:
        return "The request is not a whole protobuf message: its bytes end too early or are damaged. Send all of it."
    return "The request is not valid: every text must be UTF-8, and objects at most 5 levels deep."


def logged(method: str, inside: Handler) -> Handler:
    """Counts each call, writes one line about it, and makes its request id and its trace known to everything inside."""
    name, calls = method.rpartition(".")[2], served(method)

    async def call(request: Any, context: ServicerContext[Any, Any]) -> Any:
        started = time.perf_counter()
        metadata = metadata_of(context)
        found = metadata.get("x-request-id", "")
        request_id.set(found)
        traceparent.set(metadata.get(HEADER, ""))
        code = OK
        with span(name, kind=ANSWER, request=found) as answered:
            try:
                return await inside(request, context)
            except BaseException as error:
                code = code_of_failure(error, context)
                raise
            finally:
                seconds = time.perf_counter() - started
                calls.ended(code, None if is_untimed() else seconds)
                answered.end_call(code)
                who = account.get()
                if who:
                    answered.note(account=who)
                note_call(
                    CallLine(
                        ended_at=time.time(),
                        method=method,
                        code=code,
                        duration_ms=round(seconds * 1000, 1),
                        request_id=found,
                        trace_id=traceparent.get()[3:35],
                        account=who,
                    )
                )

    return call


def errors_mapped(method: str, inside: Handler) -> Handler:
    """Ends a failed call with its status, its ErrorInfo and the finished envelope of the caller's contract."""
    of_nextapi = method.startswith(NEXTAPI)

    async def call(request: Any, context: ServicerContext[Any, Any]) -> Any:
        headers: dict[str, str] = {}
        _answer_headers.set(headers)
        if of_nextapi:
            contract.set("nextapi")
        try:
            answer = await inside(request, context)
        except ServiceError as error:
            if error.detail:
                log.warning("method=%s request_id=%s detail=%s", method, request_id.get(), error.detail)
            await _abort(context, error)
        except grpc.aio.AbortError:
            raise
        except (Exception, asyncio.CancelledError) as error:
            if _ends_call(error):
                raise
            log.exception("method=%s request_id=%s", method, request_id.get())
            await _abort(context, refusal_of(error))
        if headers:
            await _tell(context, headers)
        return answer

    return call


async def _tell(context: ServicerContext[Any, Any], headers: Mapping[str, str]) -> None:
    if COPIES in metadata_of(context) and headers.keys() <= COPIED:
        context.set_trailing_metadata(tuple(headers.items()))
    else:
        await context.send_initial_metadata(tuple(headers.items()))


def _ends_call(error: BaseException) -> bool:
    # Where only something inside was cancelled: to a caller CANCELLED means that its call was not begun.
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


async def _abort(context: ServicerContext[Any, Any], error: ServiceError) -> None:
    if "retry_after_seconds" in error.metadata:
        answer_header("retry-after", error.metadata["retry_after_seconds"])
    # Without a message before it, what trails becomes headers of the answer.
    context.set_trailing_metadata(
        (
            ("grpc-status-details-bin", status_of(error).SerializeToString()),
            ("x-api-error-bin", error.envelope(contract.get())),
            ("x-api-status", str(error.status.http)),
            *_answer_headers.get().items(),
        )
    )
    await context.abort(grpc.StatusCode[error.status.grpc], error.message)


def metadata_of(context: ServicerContext[Any, Any]) -> Mapping[str, str]:
    """Returns the text metadata of the call being served. If a name repeats, the last value wins."""
    read = _metadata.get()
    return _texts(context.invocation_metadata()) if read is None else read


def _texts(metadata: Any) -> Mapping[str, str]:
    return {name: value for name, value in metadata or () if isinstance(value, str)}
