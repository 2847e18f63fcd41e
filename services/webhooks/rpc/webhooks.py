"""Endpoints and deliveries on the wire, for their owners: each method parses, calls one operation, renders."""

from typing import Any

from grpc.aio import ServicerContext
from reelgate.webhooks.v1 import webhooks_service_pb2 as pb
from reelgate.webhooks.v1.webhooks_service_pb2_grpc import WebhooksServiceServicer
from typing_extensions import override

from services.common.clock import Clock
from services.common.idempotency.reservation import reserved_id
from services.webhooks.convert import (
    parse_delivery_id,
    parse_endpoint,
    parse_list_deliveries,
    parse_redelivery,
    render_delivery,
    render_delivery_id,
    render_endpoint,
    render_redelivery,
)
from services.webhooks.operations.deliveries import DeliveryOperations
from services.webhooks.operations.endpoints import EndpointOperations
from services.webhooks.operations.redeliveries import RedeliveryOperations
from services.webhooks.rpc.owners import owner

Context = ServicerContext[Any, Any]


class WebhooksServicer(WebhooksServiceServicer):
    """Endpoints and deliveries, for their owners."""

    def __init__(
        self,
        *,
        endpoints: EndpointOperations,
        deliveries: DeliveryOperations,
        redeliveries: RedeliveryOperations,
        clock: Clock,
    ) -> None:
        self._endpoints = endpoints
        self._deliveries = deliveries
        self._redeliveries = redeliveries
        self._clock = clock

    @override
    async def CreateWebhookEndpoint(
        self, request: pb.CreateWebhookEndpointRequest, context: Context
    ) -> pb.CreateWebhookEndpointResponse:
        endpoint, secret = await self._endpoints.create(
            parse_endpoint(request), owner=owner(), reserved=reserved_id("whe")
        )
        return pb.CreateWebhookEndpointResponse(data=render_endpoint(endpoint, secret=secret))

    @override
    async def ListWebhookEndpoints(
        self, request: pb.ListWebhookEndpointsRequest, context: Context
    ) -> pb.ListWebhookEndpointsResponse:
        found = await self._endpoints.endpoints.all_of(owner())
        return pb.ListWebhookEndpointsResponse(data=map(render_endpoint, found))

    @override
    async def GetWebhookEndpoint(
        self, request: pb.GetWebhookEndpointRequest, context: Context
    ) -> pb.GetWebhookEndpointResponse:
        endpoint = await self._endpoints.endpoints.get(request.id, owner=owner())
        return pb.GetWebhookEndpointResponse(data=render_endpoint(endpoint))

    @override
    async def UpdateWebhookEndpoint(
        self, request: pb.UpdateWebhookEndpointRequest, context: Context
    ) -> pb.UpdateWebhookEndpointResponse:
        endpoint = await self._endpoints.update(request.id, change=parse_endpoint(request), owner=owner())
        return pb.UpdateWebhookEndpointResponse(data=render_endpoint(endpoint))

    @override
    async def DeleteWebhookEndpoint(
        self, request: pb.DeleteWebhookEndpointRequest, context: Context
    ) -> pb.DeleteWebhookEndpointResponse:
        await self._endpoints.endpoints.delete(request.id, owner=owner())
        return pb.DeleteWebhookEndpointResponse(data=pb.DeletedWebhookEndpoint(id=request.id, deleted=True))

    @override
    async def TestWebhookEndpoint(
        self, request: pb.TestWebhookEndpointRequest, context: Context
    ) -> pb.TestWebhookEndpointResponse:
        delivery = await self._endpoints.send_test(request.id, owner=owner())
        return pb.TestWebhookEndpointResponse(data=render_delivery(delivery))

    @override
    async def RotateWebhookSecret(
        self, request: pb.RotateWebhookSecretRequest, context: Context
    ) -> pb.RotateWebhookSecretResponse:
        endpoint, secret = await self._endpoints.rotate_secret(request.id, owner=owner())
        return pb.RotateWebhookSecretResponse(data=render_endpoint(endpoint, secret=secret))

    @override
    async def ConfirmWebhookSecret(
        self, request: pb.ConfirmWebhookSecretRequest, context: Context
    ) -> pb.ConfirmWebhookSecretResponse:
        endpoint = await self._endpoints.endpoints.confirm(request.id, owner=owner())
        return pb.ConfirmWebhookSecretResponse(data=render_endpoint(endpoint))

    @override
    async def ListWebhookDeliveries(
        self, request: pb.ListWebhookDeliveriesRequest, context: Context
    ) -> pb.ListWebhookDeliveriesResponse:
        wanted, after, limit = parse_list_deliveries(request)
        page, next_after = await self._deliveries.page(wanted, owner=owner(), after=after, limit=limit)
        return pb.ListWebhookDeliveriesResponse(
            data=map(render_delivery, page),
            next_after=None if next_after is None else render_delivery_id(next_after),
        )

    @override
    async def GetWebhookDelivery(
        self, request: pb.GetWebhookDeliveryRequest, context: Context
    ) -> pb.GetWebhookDeliveryResponse:
        key = parse_delivery_id(request.id)
        delivery, attempts = await self._deliveries.get(key, owner=owner())
        return pb.GetWebhookDeliveryResponse(data=render_delivery(delivery, attempts))

    @override
    async def RedeliverWebhook(
        self, request: pb.RedeliverWebhookRequest, context: Context
    ) -> pb.RedeliverWebhookResponse:
        key = parse_delivery_id(request.id)
        delivery = await self._deliveries.redeliver(key, owner=owner())
        return pb.RedeliverWebhookResponse(data=render_delivery(delivery))

    @override
    async def CreateWebhookRedelivery(
        self, request: pb.CreateWebhookRedeliveryRequest, context: Context
    ) -> pb.CreateWebhookRedeliveryResponse:
        start, end, endpoint_id = parse_redelivery(request, now=self._clock())
        redelivery = await self._redeliveries.start(
            start=start, end=end, endpoint_id=endpoint_id, owner=owner(), reserved=reserved_id("whr")
        )
        return pb.CreateWebhookRedeliveryResponse(data=render_redelivery(redelivery))

    @override
    async def GetWebhookRedelivery(
        self, request: pb.GetWebhookRedeliveryRequest, context: Context
    ) -> pb.GetWebhookRedeliveryResponse:
        redelivery = await self._redeliveries.get(request.id, owner=owner())
        return pb.GetWebhookRedeliveryResponse(data=render_redelivery(redelivery))
