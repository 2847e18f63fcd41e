"""Providers' hints on the wire."""

from collections.abc import Awaitable, Callable
from typing import Any

from grpc.aio import ServicerContext
from reelgate.callback.v1 import callback_service_pb2 as pb
from reelgate.callback.v1.callback_service_pb2_grpc import CallbackServiceServicer
from typing_extensions import override

Context = ServicerContext[Any, Any]


class CallbackServicer(CallbackServiceServicer):
    """Hints from providers."""

    def __init__(self, receive: Callable[[str, bytes], Awaitable[None]]) -> None:
        self._receive = receive

    @override
    async def ReceiveCallback(
        self, request: pb.ReceiveCallbackRequest, context: Context
    ) -> pb.ReceiveCallbackResponse:
        await self._receive(request.token, request.body.data)
        return pb.ReceiveCallbackResponse()
