"""Endpoints and deliveries on the wire, for their owners: each method parses, calls one operation, renders."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from grpc.aio import ServicerContext
from reelgate.webhooks.v1 import webhooks_service_pb2 as pb
from reelgate.webhooks.v1.webhooks_service_pb2_grpc import WebhooksServiceServicer
from typing_extensions import override

from services.common.authentication import caller
from services.common.clock import Clock
from services.common.reservation import reserved_id
from services.webhooks.convert import (
    parse_delivery_id,
    parse_endpoint,
    parse_list_deliveries,
    parse_redelivery,
    render_delivery,
    render_delivery_id,
    render_endpoint,
    render_redelivery,
    render_test_event,
)
from services.webhooks.domain import Owner
from services.webhooks.operations.check_endpoint import CheckUrl
from services.webhooks.operations.confirm_secret import confirm_secret
from services.webhooks.operations.create_endpoint import create_endpoint
from services.webhooks.operations.delete_endpoint import delete_endpoint
from services.webhooks.operations.get_delivery import get_delivery
from services.webhooks.operations.get_endpoint import get_endpoint
from services.webhooks.operations.get_redelivery import get_redelivery
from services.webhooks.operations.list_deliveries import list_deliveries
from services.webhooks.operations.list_endpoints import list_endpoints
from services.webhooks.operations.redeliver import redeliver
from services.webhooks.operations.rotate_secret import rotate_secret
from services.webhooks.operations.send_test_event import send_test_event
from services.webhooks.operations.start_redelivery import start_redelivery
from services.webhooks.operations.update_endpoint import update_endpoint
from services.webhooks.ports import Endpoints, History, Redeliveries

Context = ServicerContext[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What the service works with."""

    endpoints: Endpoints
    history: History
    redeliveries: Redeliveries
    check_url: CheckUrl
    new_id: Callable[[str], str]
    """Returns a new id with a prefix."""
    random_bytes: Callable[[int], bytes]
    ring: Callable[[], None]
    clock: Clock


class WebhooksServicer(WebhooksServiceServicer):
    """Endpoints and deliveries, for their owners."""

    def __init__(self, needs: Needs) -> None:
        self._needs = needs

    @override
    async def CreateWebhookEndpoint(
        self, request: pb.CreateWebhookEndpointRequest, context: Context
    ) -> pb.CreateWebhookEndpointResponse:
        endpoint, secret = await create_endpoint(
            parse_endpoint(request),
            owner=_owner(),
            endpoints=self._needs.endpoints,
            check_url=self._needs.check_url,
            new_id=partial(self._needs.new_id, "whe"),
            random_bytes=self._needs.random_bytes,
            reserved=reserved_id("whe"),
        )
        return pb.CreateWebhookEndpointResponse(data=render_endpoint(endpoint, secret=secret))

    @override
    async def ListWebhookEndpoints(
        self, request: pb.ListWebhookEndpointsRequest, context: Context
    ) -> pb.ListWebhookEndpointsResponse:
        found = await list_endpoints(owner=_owner(), endpoints=self._needs.endpoints)
        return pb.ListWebhookEndpointsResponse(data=map(render_endpoint, found))

    @override
    async def GetWebhookEndpoint(
        self, request: pb.GetWebhookEndpointRequest, context: Context
    ) -> pb.GetWebhookEndpointResponse:
        endpoint = await get_endpoint(request.id, owner=_owner(), endpoints=self._needs.endpoints)
        return pb.GetWebhookEndpointResponse(data=render_endpoint(endpoint))

    @override
    async def UpdateWebhookEndpoint(
        self, request: pb.UpdateWebhookEndpointRequest, context: Context
    ) -> pb.UpdateWebhookEndpointResponse:
        endpoint = await update_endpoint(
            request.id,
            change=parse_endpoint(request),
            owner=_owner(),
            endpoints=self._needs.endpoints,
            check_url=self._needs.check_url,
        )
        return pb.UpdateWebhookEndpointResponse(data=render_endpoint(endpoint))

    @override
    async def DeleteWebhookEndpoint(
        self, request: pb.DeleteWebhookEndpointRequest, context: Context
    ) -> pb.DeleteWebhookEndpointResponse:
        await delete_endpoint(request.id, owner=_owner(), endpoints=self._needs.endpoints)
        return pb.DeleteWebhookEndpointResponse(data=pb.DeletedWebhookEndpoint(id=request.id, deleted=True))

    @override
    async def TestWebhookEndpoint(
        self, request: pb.TestWebhookEndpointRequest, context: Context
    ) -> pb.TestWebhookEndpointResponse:
        delivery = await send_test_event(
            request.id,
            owner=_owner(),
            endpoints=self._needs.endpoints,
            history=self._needs.history,
            render=render_test_event,
            new_id=partial(self._needs.new_id, "test"),
            clock=self._needs.clock,
            ring=self._needs.ring,
        )
        return pb.TestWebhookEndpointResponse(data=render_delivery(delivery))

    @override
    async def RotateWebhookSecret(
        self, request: pb.RotateWebhookSecretRequest, context: Context
    ) -> pb.RotateWebhookSecretResponse:
        endpoint, secret = await rotate_secret(
            request.id,
            owner=_owner(),
            endpoints=self._needs.endpoints,
            random_bytes=self._needs.random_bytes,
        )
        return pb.RotateWebhookSecretResponse(data=render_endpoint(endpoint, secret=secret))

    @override
    async def ConfirmWebhookSecret(
        self, request: pb.ConfirmWebhookSecretRequest, context: Context
    ) -> pb.ConfirmWebhookSecretResponse:
        endpoint = await confirm_secret(request.id, owner=_owner(), endpoints=self._needs.endpoints)
        return pb.ConfirmWebhookSecretResponse(data=render_endpoint(endpoint))

    @override
    async def ListWebhookDeliveries(
        self, request: pb.ListWebhookDeliveriesRequest, context: Context
    ) -> pb.ListWebhookDeliveriesResponse:
        wanted, after, limit = parse_list_deliveries(request)
        page, next_after = await list_deliveries(
            owner=_owner(), wanted=wanted, after=after, limit=limit, history=self._needs.history
        )
        return pb.ListWebhookDeliveriesResponse(
            data=map(render_delivery, page),
            next_after=None if next_after is None else render_delivery_id(next_after),
        )

    @override
    async def GetWebhookDelivery(
        self, request: pb.GetWebhookDeliveryRequest, context: Context
    ) -> pb.GetWebhookDeliveryResponse:
        key = parse_delivery_id(request.id)
        delivery, attempts = await get_delivery(key, owner=_owner(), history=self._needs.history)
        return pb.GetWebhookDeliveryResponse(data=render_delivery(delivery, attempts))

    @override
    async def RedeliverWebhook(
        self, request: pb.RedeliverWebhookRequest, context: Context
    ) -> pb.RedeliverWebhookResponse:
        key = parse_delivery_id(request.id)
        delivery = await redeliver(key, owner=_owner(), history=self._needs.history, ring=self._needs.ring)
        return pb.RedeliverWebhookResponse(data=render_delivery(delivery))

    @override
    async def CreateWebhookRedelivery(
        self, request: pb.CreateWebhookRedeliveryRequest, context: Context
    ) -> pb.CreateWebhookRedeliveryResponse:
        start, end, endpoint_id = parse_redelivery(request, now=self._needs.clock())
        redelivery = await start_redelivery(
            start=start,
            end=end,
            endpoint_id=endpoint_id,
            owner=_owner(),
            endpoints=self._needs.endpoints,
            redeliveries=self._needs.redeliveries,
            new_id=partial(self._needs.new_id, "whr"),
            reserved=reserved_id("whr"),
        )
        return pb.CreateWebhookRedeliveryResponse(data=render_redelivery(redelivery))

    @override
    async def GetWebhookRedelivery(
        self, request: pb.GetWebhookRedeliveryRequest, context: Context
    ) -> pb.GetWebhookRedeliveryResponse:
        redelivery = await get_redelivery(request.id, owner=_owner(), redeliveries=self._needs.redeliveries)
        return pb.GetWebhookRedeliveryResponse(data=render_redelivery(redelivery))


def _owner() -> Owner:
    found = caller()
    return Owner(account_id=found.account_id, environment=found.environment, contract=found.contract)
