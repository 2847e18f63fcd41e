"""What operators do to prices."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from reelgate.admin.v1 import price_admin_service_pb2, price_admin_service_pb2_grpc
from reelgate.internal.prices.v1 import price_pb2, price_service_pb2, price_service_pb2_grpc

from services.cli.admin.channel import open_admin_channel
from services.cli.admin.records import Note, Price, PriceVersion
from services.cli.admin.target import AdminTarget
from services.cli.admin.wire import to_note_message, to_record
from services.common.clock import rfc3339

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def set_prices(
    version: str, *, prices: Sequence[Price], valid_from: str | None, note: Note, billing: AdminTarget
) -> PriceVersion:
    """Adds a version of prices, that holds from `valid_from` on or from now. Raises ServiceError."""
    async with open_admin_channel(billing) as channel:
        answer = await price_admin_service_pb2_grpc.PriceAdminServiceStub(channel).SetPrices(
            price_admin_service_pb2.SetPricesRequest(
                version=version,
                valid_from=valid_from,
                prices=[price_pb2.Price(**vars(price)) for price in prices],
                audit=to_note_message(note),
            ),
            wait_for_ready=True,
        )
    return _version(answer.version)


async def list_prices(*, billing: AdminTarget) -> Sequence[PriceVersion]:
    """Returns the versions that hold or will hold for anything, oldest first. Raises ServiceError."""
    async with open_admin_channel(billing) as channel:
        listed = await price_service_pb2_grpc.PriceServiceStub(channel).ListPrices(
            price_service_pb2.ListPricesRequest(), wait_for_ready=True
        )
    return [_version(version) for version in listed.versions]


def _version(version: price_pb2.PriceVersion) -> PriceVersion:
    return PriceVersion(
        version=version.version,
        valid_from=rfc3339(EPOCH + timedelta(milliseconds=version.valid_from_millis)),
        prices=[to_record(Price, price) for price in version.prices],
    )
