"""Models, as those who may use them see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from services.common.clock import Clock
from services.jobs.domain.offers import Catalogue, Offer, PriceList
from services.jobs.domain.requests import Buyer
from services.jobs.ports import Prices
from services.jobs.refusals import model_not_found


@dataclass(frozen=True, kw_only=True)
class ModelOperations:
    """Models, as those who may use them see them."""

    catalogue: Catalogue
    prices: Prices
    clock: Clock

    async def all_of(self, buyer: Buyer) -> list[Offer]:
        """Returns what the buyer can have now, strongest first. Refuses with UNAVAILABLE when prices are not known."""
        return await self.at(self.clock(), buyer=buyer)

    async def at(self, moment: datetime, *, buyer: Buyer) -> list[Offer]:
        """Returns what the buyer can have at a moment. Refuses like `all_of`."""
        return offers_at(moment, buyer=buyer, catalogue=self.catalogue, prices=await self.prices.current())

    async def get(self, name: str, *, buyer: Buyer) -> Offer:
        """Returns one model. Refuses with UNAVAILABLE, or with MODEL_NOT_FOUND what `all_of` leaves out."""
        return offer_of(name, await self.all_of(buyer))


def offers_at(moment: datetime, *, buyer: Buyer, catalogue: Catalogue, prices: PriceList) -> list[Offer]:
    """Returns the models of its contract that the key may use and that have a price in its environment, strongest first."""
    price_at = partial(prices.at, moment, environment=buyer.owner.environment)
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


def offer_of(name: str, offers: Sequence[Offer]) -> Offer:
    """Returns the offer of a model. Refuses with MODEL_NOT_FOUND."""
    for offer in offers:
        if offer.model.id == name:
            return offer
    raise model_not_found(name, usable=[offer.model.id for offer in offers])
