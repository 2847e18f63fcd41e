from collections.abc import Sequence

from services.billing.domain import NewPrices, Price, PriceRefusal, PriceVersion
from services.billing.ports import Prices
from services.common.clock import rfc3339
from services.common.errors import Reason, ServiceError, invalid_field


async def set_prices(new: NewPrices, *, prices: Prices) -> PriceVersion:
    """Keeps a version of prices for good. Repeating it changes nothing.

    Refuses with PRICE_MISMATCH, or with INVALID_FIELD what sets a price twice or from a past moment on.
    """
    _refuse_twice(new.prices)
    answer = await prices.add(new)
    if answer is PriceRefusal.MOMENT_PAST:
        assert new.valid_from is not None
        raise invalid_field("valid_from", "must not be in the past", rfc3339(new.valid_from))
    if answer is PriceRefusal.MOMENT_TAKEN:
        raise _mismatch(
            new, "Another version sets one of these prices from the same moment on: name a later one."
        )
    if set(answer.prices) != set(new.prices) or new.valid_from not in (None, answer.valid_from):
        raise _mismatch(new, f"Version {new.version} was set before to something else: name a new version.")
    return answer


def _refuse_twice(prices: Sequence[Price]) -> None:
    seen = set()
    for index, price in enumerate(prices):
        what = (price.model, price.resolution, price.environment)
        if what in seen:
            raise invalid_field(
                f"prices[{index}]", "sets a price that stands before it in the list", " ".join(what)
            )
        seen.add(what)


def _mismatch(new: NewPrices, message: str) -> ServiceError:
    return ServiceError(Reason.PRICE_MISMATCH, message, version=new.version)
