"""Providers' hints on the wire."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from grpc.aio import ServicerContext
from reelgate.callback.v1 import callback_service_pb2 as pb
from reelgate.callback.v1.callback_service_pb2_grpc import CallbackServiceServicer
from typing_extensions import override

from services.common.rpc.interceptors import metadata_of

Context = ServicerContext[Any, Any]


class CallbackServicer(CallbackServiceServicer):
    """Hints from providers. Of what their requests carry it passes on `headers`, which prove who sent them."""

    def __init__(
        self, receive: Callable[[str, Mapping[str, str], bytes], Awaitable[None]], *, headers: Collection[str]
    ) -> None:
        self._receive = receive
        self._headers = frozenset(headers)

    @override
    async def ReceiveCallback(
        self, request: pb.ReceiveCallbackRequest, context: Context
    ) -> pb.ReceiveCallbackResponse:
        sent = metadata_of(context)
        headers = {name: sent[name] for name in self._headers & sent.keys()}
        await self._receive(request.token, headers, request.body.data)
        return pb.ReceiveCallbackResponse()
