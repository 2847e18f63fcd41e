"""What `python -m services.billing check` looks at."""

from collections.abc import Sequence
from functools import partial

from services.billing.prices import PriceFileError, load_prices
from services.billing.settings import BillingSettings
from services.billing.tables import metadata
from services.common.clock import Clock, utc_now
from services.common.diagnosis.findings import Check, Finding
from services.common.diagnosis.service import file_finding, service_checks


def checks_of(settings: BillingSettings, *, clock: Clock = utc_now) -> Sequence[Check]:
    """Returns the checks of billing."""
    return (
        *service_checks(
            settings,
            service="billing",
            tables=metadata.tables,
            addresses=(settings.internal_address, settings.admin_address),
            clock=clock,
        ),
        Check("prices", partial(_look_at_prices, settings)),
    )


async def _look_at_prices(settings: BillingSettings) -> list[Finding]:
    try:
        load_prices(settings.prices_file)
    except PriceFileError as error:
        return [file_finding("PRICES_FILE", error)]
    return []
