"""What a request would cost."""

from dataclasses import dataclass

from services.common.clock import Clock
from services.jobs.domain.offers import Catalogue
from services.jobs.domain.requests import Buyer, NewJob
from services.jobs.operations.magic_prompts import check_directive
from services.jobs.operations.price_job import price_job
from services.jobs.ports import Funds, Prices


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a creation would set aside now, and what there is to spend, in micro-credits."""

    total_micros: int
    available_micros: int


async def estimate_job(
    wanted: NewJob, *, buyer: Buyer, catalogue: Catalogue, prices: Prices, funds: Funds, clock: Clock
) -> Estimate:
    """Prices a request as create_job would, and writes nothing.

    Refuses with MODEL_NOT_FOUND, INVALID_FIELD or UNAVAILABLE.
    """
    check_directive(wanted, environment=buyer.owner.environment)
    quote = await price_job(wanted, buyer=buyer, catalogue=catalogue, prices=prices, moment=clock())
    available_micros = await funds.available(buyer.owner)
    return Estimate(total_micros=quote.total_micros, available_micros=available_micros)
