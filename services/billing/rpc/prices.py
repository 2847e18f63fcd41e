"""Prices on the wire: for the services that sell by them, and for operators who set them."""

from typing import Any

from grpc.aio import ServicerContext
from reelgate.admin.v1 import price_admin_service_pb2, price_admin_service_pb2_grpc
from reelgate.internal.prices.v1 import price_service_pb2, price_service_pb2_grpc
from typing_extensions import override

from services.billing.convert import parse_new_prices, render_price_version
from services.billing.operations.prices import list_prices, set_prices
from services.billing.store.prices import SqlPrices

Context = ServicerContext[Any, Any]


class PriceServicer(price_service_pb2_grpc.PriceServiceServicer):
    """Prices, for other services."""

    def __init__(self, *, prices: SqlPrices) -> None:
        self._prices = prices

    @override
    async def ListPrices(
        self, request: price_service_pb2.ListPricesRequest, context: Context
    ) -> price_service_pb2.ListPricesResponse:
        found = await list_prices(prices=self._prices)
        return price_service_pb2.ListPricesResponse(versions=map(render_price_version, found))


class PriceAdminServicer(price_admin_service_pb2_grpc.PriceAdminServiceServicer):
    """Prices, for operators."""

    def __init__(self, *, prices: SqlPrices) -> None:
        self._prices = prices

    @override
    async def SetPrices(
        self, request: price_admin_service_pb2.SetPricesRequest, context: Context
    ) -> price_admin_service_pb2.SetPricesResponse:
        version = await set_prices(parse_new_prices(request), prices=self._prices)
        return price_admin_service_pb2.SetPricesResponse(version=render_price_version(version))
