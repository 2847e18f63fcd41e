"""What a buyer can have."""

from datetime import datetime
from functools import partial

from services.jobs.domain.offers import Catalogue, Offer
from services.jobs.domain.requests import Buyer
from services.jobs.ports import Prices


async def list_models(*, buyer: Buyer, catalogue: Catalogue, prices: Prices, moment: datetime) -> list[Offer]:
    """Returns the models of its contract that the key may use and that have a price in its environment, strongest first.

    Refuses with UNAVAILABLE when prices are not known.
    """
    price_at = partial((await prices.current()).at, moment, environment=buyer.owner.environment)
    offers = []
    for model in catalogue:
        if model.contract != buyer.owner.contract:
            continue
        if buyer.models_allowed and model.id not in buyer.models_allowed:
            continue
        found = ((name, price_at(model=model.id, resolution=name)) for name in model.resolutions)
        priced = {name: price for name, price in found if price is not None}
        if priced:
            offers.append(Offer(model=model, prices=priced))
    return offers
