"""Providers' hints on the wire."""

from collections.abc import Callable
from typing import Any

from grpc.aio import ServicerContext
from reelgate.callback.v1 import callback_service_pb2, callback_service_pb2_grpc
from typing_extensions import override

from services.jobs.callback_tokens import CallbackTokens
from services.jobs.operations.receive_callback import receive_callback
from services.jobs.store.queue.work import SqlWork

Context = ServicerContext[Any, Any]


class CallbackServicer(callback_service_pb2_grpc.CallbackServiceServicer):
    """Hints from providers."""

    def __init__(
        self,
        *,
        tokens: CallbackTokens,
        work: SqlWork,
        claimed_task_id: Callable[[bytes], str | None],
        notify: Callable[[], None],
    ) -> None:
        self._tokens = tokens
        self._work = work
        self._claimed_task_id = claimed_task_id
        self._notify = notify

    @override
    async def ReceiveCallback(
        self, request: callback_service_pb2.ReceiveCallbackRequest, context: Context
    ) -> callback_service_pb2.ReceiveCallbackResponse:
        await receive_callback(
            request.token,
            request.body.data,
            tokens=self._tokens,
            work=self._work,
            claimed_task_id=self._claimed_task_id,
            notify=self._notify,
        )
        return callback_service_pb2.ReceiveCallbackResponse()
