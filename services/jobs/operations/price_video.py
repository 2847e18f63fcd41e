"""What a request costs: the one path by which it is accepted and estimated."""

from dataclasses import dataclass
from datetime import datetime

from services.common.errors import invalid_field
from services.jobs.domain import Buyer, Catalogue, Model, NewVideo, Offer, Price, VideoInput
from services.jobs.operations.get_model import get_model
from services.jobs.ports import Prices


@dataclass(frozen=True, kw_only=True)
class Quote:
    """The price of a request, and what it comes to in micro-credits."""

    price: Price
    total_micros: int


async def price_video(
    wanted: NewVideo, *, buyer: Buyer, catalogue: Catalogue, prices: Prices, moment: datetime
) -> Quote:
    """Returns what a request costs at a moment.

    Reference media cost nothing extra (the contract's formula: seconds x rate x outputs, one output).
    Refuses with MODEL_NOT_FOUND, with UNAVAILABLE, or with INVALID_FIELD what the model cannot do or has no price for.
    """
    offer = await get_model(wanted.model, buyer=buyer, catalogue=catalogue, prices=prices, moment=moment)
    _refuse_unsupported(offer.model, wanted.input)
    price = _price(offer, wanted.input)
    return Quote(price=price, total_micros=price.micros_per_second * wanted.input.duration_seconds)


def _price(offer: Offer, wanted: VideoInput) -> Price:
    price = offer.prices.get(wanted.resolution)
    if price is None:
        allowed = ", ".join(offer.prices)
        raise invalid_field(
            "input.resolution", f"must be one of {allowed} for model {offer.model.id}", wanted.resolution
        )
    return price


def _refuse_unsupported(model: Model, wanted: VideoInput) -> None:
    if wanted.aspect_ratio not in model.aspect_ratios:
        allowed = ", ".join(model.aspect_ratios)
        raise invalid_field(
            "input.aspect_ratio", f"must be one of {allowed} for model {model.id}", wanted.aspect_ratio
        )
    if not model.duration_seconds_min <= wanted.duration_seconds <= model.duration_seconds_max:
        raise invalid_field(
            "input.duration",
            f"must be {model.duration_seconds_min} to {model.duration_seconds_max} for model {model.id}",
            wanted.duration_seconds,
        )
    needs = (
        ("image_reference", "input.image_urls", wanted.image_urls),
        ("video_reference", "input.video_urls", wanted.video_urls),
        ("audio_reference", "input.audio_urls", wanted.audio_urls),
        ("first_and_last_frames", "input.generation_type", wanted.start_image_url),
        ("audio_generation", "input.generate_audio", wanted.generate_audio),
        ("watermark", "input.watermark", wanted.watermark),
        ("last_frame", "input.return_last_frame", wanted.return_last_frame),
    )
    for capability, field, used in needs:
        if used and capability not in model.capabilities:
            raise invalid_field(field, f"asks for {capability}, which model {model.id} does not support")
