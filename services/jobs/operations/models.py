"""Models, as those who may use them see them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from services.common.clock import Clock
from services.jobs.domain.catalogue import Catalogue
from services.jobs.domain.offers import Model, Offer, PriceList
from services.jobs.domain.requests import Buyer
from services.jobs.ports import Prices
from services.jobs.refusals import model_not_found


@dataclass(frozen=True, kw_only=True)
class ModelOperations:
    """Models, as those who may use them see them."""

    catalogue: Callable[[], Catalogue]
    prices: Prices
    clock: Clock

    async def all_of(self, buyer: Buyer) -> list[Offer]:
        """Returns what the buyer can have now, strongest first. Refuses with UNAVAILABLE when prices are not known."""
        return offers_at(
            self.clock(), buyer=buyer, catalogue=self.catalogue(), prices=await self.prices.current()
        )

    async def get(self, name: str, *, buyer: Buyer) -> Offer:
        """Returns one model. Refuses with UNAVAILABLE, or with MODEL_NOT_FOUND what `all_of` leaves out."""
        return await self.at(self.clock(), name, buyer=buyer)

    async def at(self, moment: datetime, name: str, *, buyer: Buyer) -> Offer:
        """Returns one model as the buyer can have it at a moment. Refuses like `get`."""
        return offer_at(
            moment, name, buyer=buyer, catalogue=self.catalogue(), prices=await self.prices.current()
        )


def offers_at(moment: datetime, *, buyer: Buyer, catalogue: Catalogue, prices: PriceList) -> list[Offer]:
    """Returns the models of its contract that the key may use and that have a price in its environment, strongest first.

    Each has what the routes of the account can do, and no more.
    """
    models = catalogue.models_of(buyer.owner)
    found = (_offer(model, moment, buyer=buyer, catalogue=catalogue, prices=prices) for model in models)
    return [offer for offer in found if offer is not None]


def offer_at(moment: datetime, name: str, *, buyer: Buyer, catalogue: Catalogue, prices: PriceList) -> Offer:
    """Returns one of these, without pricing the others. Refuses with MODEL_NOT_FOUND."""
    for model in catalogue.models_of(buyer.owner):
        if model.id == name:
            offer = _offer(model, moment, buyer=buyer, catalogue=catalogue, prices=prices)
            if offer is not None:
                return offer
    offers = offers_at(moment, buyer=buyer, catalogue=catalogue, prices=prices)
    raise model_not_found(name, usable=[offer.model.id for offer in offers])


def _offer(
    model: Model, moment: datetime, *, buyer: Buyer, catalogue: Catalogue, prices: PriceList
) -> Offer | None:
    if model.contract != buyer.owner.contract:
        return None
    if buyer.models_allowed and model.id not in buyer.models_allowed:
        return None
    price_at = partial(prices.at, moment, environment=buyer.owner.environment, model=model.id)
    found = ((name, price_at(resolution=name)) for name in model.resolutions)
    priced = {name: price for name, price in found if price is not None}
    if not priced:
        return None
    return Offer(model=model, prices=priced, choices=catalogue.choices_of(model.id, buyer.owner))
