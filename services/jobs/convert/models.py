"""Models as customers see them."""

from typing import Any

from reelgate.models.v1 import model_pb2

from services.jobs.convert.shared import render_credits
from services.jobs.domain.offers import Offer


def render_model(offer: Offer) -> model_pb2.Model:
    """Returns a model as lists show it."""
    return model_pb2.Model(**_model(offer))


def render_model_detail(offer: Offer) -> model_pb2.ModelDetail:
    """Returns a model with everything an integration may want to know."""
    return model_pb2.ModelDetail(
        **_model(offer),
        aspect_ratios=offer.model.aspect_ratios,
        capabilities=offer.model.capabilities,
        credits_per_second={
            resolution: render_credits(price.micros_per_second) for resolution, price in offer.prices.items()
        },
    )


def _model(offer: Offer) -> dict[str, Any]:
    return {
        "id": offer.model.id,
        "status": "active",
        "resolutions": list(offer.prices),
        "duration": {"min": offer.model.duration_seconds_min, "max": offer.model.duration_seconds_max},
    }
