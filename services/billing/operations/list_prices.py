from datetime import timedelta

from services.billing.domain import PriceVersion
from services.billing.ports import Prices

PRICES_LISTED_MAX = 10_000
REPLACED_PRICES_LISTED_FOR = timedelta(minutes=1)
"""A reader whose clock is behind, or that is at work on a request, may still need what was replaced just now."""


async def list_prices(*, prices: Prices) -> list[PriceVersion]:
    """Returns what holds or will hold, oldest first: the newest PRICES_LISTED_MAX prices."""
    return await prices.listed(replaced_for=REPLACED_PRICES_LISTED_FOR, prices_max=PRICES_LISTED_MAX)
