"""Versions of prices: set once, never changed."""

from collections.abc import Sequence
from datetime import timedelta

from services.billing.domain import NewPrices, Price, PriceRefusal, PriceVersion
from services.billing.refusals import price_mismatch
from services.billing.store.prices import SqlPrices
from services.common.clock import rfc3339
from services.common.errors import invalid_field

PRICES_LISTED_MAX = 10_000
REPLACED_PRICES_LISTED_FOR = timedelta(minutes=1)
"""A reader with a slow clock, or in the middle of a request, may still need a price that was just replaced."""


async def list_prices(*, prices: SqlPrices) -> list[PriceVersion]:
    """Returns the present and future versions, oldest first, with their newest PRICES_LISTED_MAX prices."""
    return await prices.listed(replaced_for=REPLACED_PRICES_LISTED_FOR, prices_max=PRICES_LISTED_MAX)


async def set_prices(new: NewPrices, *, prices: SqlPrices) -> PriceVersion:
    """Stores a version of prices, which never changes. Repeating it changes nothing.

    Refuses with PRICE_MISMATCH, or with INVALID_FIELD if a price is set twice or from a past moment on.
    """
    _refuse_twice(new.prices)
    answer = await prices.add(new)
    if answer is PriceRefusal.MOMENT_PAST:
        assert new.valid_from is not None
        raise invalid_field("valid_from", "must not be in the past", rfc3339(new.valid_from))
    if answer is PriceRefusal.MOMENT_TAKEN:
        raise price_mismatch(
            new.version,
            "Another version sets one of these prices from the same moment on: choose a later moment.",
        )
    if set(answer.prices) != set(new.prices) or new.valid_from not in (None, answer.valid_from):
        raise price_mismatch(
            new.version, f"Version {new.version} was already set to other prices: choose a new version name."
        )
    return answer


def _refuse_twice(prices: Sequence[Price]) -> None:
    seen = set()
    for index, price in enumerate(prices):
        what = (price.model, price.resolution, price.environment)
        if what in seen:
            raise invalid_field(
                f"prices[{index}]", "repeats a price from earlier in the list", " ".join(what)
            )
        seen.add(what)
