"""Finding one model."""

from datetime import datetime

from services.common.errors import Reason, ServiceError
from services.jobs.domain.offers import Catalogue, Offer
from services.jobs.domain.requests import Buyer
from services.jobs.operations.list_models import list_models
from services.jobs.ports import Prices

NAME_LENGTH_SHOWN_MAX = 64


async def get_model(
    name: str, *, buyer: Buyer, catalogue: Catalogue, prices: Prices, moment: datetime
) -> Offer:
    """Returns the model of that name. Refuses with UNAVAILABLE, or with MODEL_NOT_FOUND what list_models leaves out."""
    offers = await list_models(buyer=buyer, catalogue=catalogue, prices=prices, moment=moment)
    for offer in offers:
        if offer.model.id == name:
            return offer
    shown = name[:NAME_LENGTH_SHOWN_MAX]
    names = ", ".join(offer.model.id for offer in offers)
    advice = f"Use one of: {names}." if names else "This key has none that it could use."
    raise ServiceError(Reason.MODEL_NOT_FOUND, f'There is no model "{shown}". {advice}', model=shown)
