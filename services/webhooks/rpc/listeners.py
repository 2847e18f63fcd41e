"""Listeners on the wire, for their owners: each method parses, calls one operation, renders."""

from typing import Any

from grpc.aio import ServicerContext
from reelgate.webhooks.v1 import webhook_listeners_service_pb2 as pb
from reelgate.webhooks.v1.webhook_listeners_service_pb2_grpc import WebhookListenersServiceServicer
from typing_extensions import override

from services.common.auth.authentication import credential
from services.common.clock import Clock, rfc3339
from services.common.idempotency.reservation import reserved_id
from services.common.telemetry.rpc_metrics import leave_untimed
from services.webhooks.convert import render_heard, render_listener
from services.webhooks.operations.listeners import ListenerOperations
from services.webhooks.rpc.owners import owner
from services.webhooks.watch import ListenerWatch, ReadRequest

ANSWER_SECONDS = 0.5
"""What a call needs to answer in before its deadline."""
PAGE_MAX = 100
Context = ServicerContext[Any, Any]


class WebhookListenersServicer(WebhookListenersServiceServicer):
    """Listeners, for their owners."""

    def __init__(self, *, operations: ListenerOperations, watch: ListenerWatch, clock: Clock) -> None:
        self._operations = operations
        self._watch = watch
        self._clock = clock

    @override
    async def CreateWebhookListener(
        self, request: pb.CreateWebhookListenerRequest, context: Context
    ) -> pb.CreateWebhookListenerResponse:
        listener, secret = await self._operations.create(
            tuple(request.events), owner=owner(), reserved=reserved_id("whl")
        )
        return pb.CreateWebhookListenerResponse(data=render_listener(listener, secret=secret))

    @override
    async def ListWebhookListeners(
        self, request: pb.ListWebhookListenersRequest, context: Context
    ) -> pb.ListWebhookListenersResponse:
        found = await self._operations.listeners.all_of(owner())
        return pb.ListWebhookListenersResponse(data=map(render_listener, found))

    @override
    async def ReadWebhookListener(
        self, request: pb.ReadWebhookListenerRequest, context: Context
    ) -> pb.ReadWebhookListenerResponse:
        wanted = ReadRequest(
            listener_id=request.id,
            owner=owner(),
            after=request.after,
            limit=request.limit or PAGE_MAX,
            credential=credential(),
        )
        page = await self._watch.read(wanted, seconds=_seconds_to_wait(request.wait, context))
        secret = self._operations.listeners.reveal(page.sealed_secret)
        sent_at = int(self._clock().timestamp())
        return pb.ReadWebhookListenerResponse(
            data=(render_heard(heard, secret=secret, sent_at=sent_at) for heard in page.heard),
            expires_at=rfc3339(page.expires_at),
        )

    @override
    async def DeleteWebhookListener(
        self, request: pb.DeleteWebhookListenerRequest, context: Context
    ) -> pb.DeleteWebhookListenerResponse:
        await self._operations.listeners.end(request.id, owner=owner())
        return pb.DeleteWebhookListenerResponse(data=pb.DeletedWebhookListener(id=request.id, deleted=True))


def _seconds_to_wait(wanted: float, context: Context) -> float:
    if wanted:
        leave_untimed()
    left: Any = context.time_remaining()
    return wanted if left is None else min(wanted, left - ANSWER_SECONDS)
