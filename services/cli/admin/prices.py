"""What operators do to prices. Every function raises ServiceError."""

from collections.abc import Sequence

from reelgate.admin.v1.audit_pb2 import AuditNote
from reelgate.admin.v1.price_admin_service_pb2 import SetPricesRequest
from reelgate.admin.v1.price_admin_service_pb2_grpc import PriceAdminServiceStub
from reelgate.internal.prices.v1.price_pb2 import Price, PriceVersion
from reelgate.internal.prices.v1.price_service_pb2 import ListPricesRequest
from reelgate.internal.prices.v1.price_service_pb2_grpc import PriceServiceStub

from services.cli.admin.channel import call
from services.cli.admin.target import AdminTarget


async def set_prices(
    version: str,
    *,
    prices: Sequence[Price],
    valid_from: str | None,
    note: AuditNote,
    billing: AdminTarget,
) -> PriceVersion:
    """Adds a version of prices, valid from `valid_from` on, or from now."""
    request = SetPricesRequest(version=version, valid_from=valid_from, prices=prices, audit=note)
    return (await call(billing, lambda channel: PriceAdminServiceStub(channel).SetPrices, request)).version


async def list_prices(*, billing: AdminTarget) -> Sequence[PriceVersion]:
    """Returns the versions that are valid now or later for anything, oldest first."""
    request = ListPricesRequest()
    return (await call(billing, lambda channel: PriceServiceStub(channel).ListPrices, request)).versions
