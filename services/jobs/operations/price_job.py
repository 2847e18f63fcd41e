"""What a request costs: the one path by which it is accepted and estimated."""

from dataclasses import dataclass

from services.common.errors import invalid_field
from services.jobs.domain.offers import Model, Offer, Price
from services.jobs.domain.requests import NewJob
from services.jobs.operations.refuse_impossible import refuse_unless_possible


@dataclass(frozen=True, kw_only=True)
class Quote:
    """The price of a request, and what it comes to in micro-credits."""

    price: Price
    total_micros: int


def price_job(wanted: NewJob, offer: Offer) -> Quote:
    """Returns what a request costs by what its buyer can have of the model.

    Reference media cost nothing extra (the contract's formula: seconds x rate x outputs, one output).
    Refuses with INVALID_FIELD what the model cannot do or has no price for, and what none of its routes can do.
    """
    _refuse_unsupported(offer.model, wanted)
    price = _price(offer, wanted)
    refuse_unless_possible(wanted, offer)
    return Quote(price=price, total_micros=price.micros_per_second * wanted.input.duration_seconds)


def _price(offer: Offer, wanted: NewJob) -> Price:
    resolution = wanted.input.resolution
    price = offer.prices.get(resolution)
    if price is None:
        rule = f"must be one of {', '.join(offer.prices)} for model {offer.model.id}"
        raise invalid_field(wanted.field_name("resolution"), rule, resolution)
    return price


def _refuse_unsupported(model: Model, wanted: NewJob) -> None:
    name, asked = wanted.field_name, wanted.input
    if asked.aspect_ratio not in model.aspect_ratios:
        rule = f"must be one of {', '.join(model.aspect_ratios)} for model {model.id}"
        raise invalid_field(name("aspect_ratio"), rule, asked.aspect_ratio)
    shortest, longest = model.duration_seconds_min, model.duration_seconds_max
    if not shortest <= asked.duration_seconds <= longest:
        rule = f"must be {shortest} to {longest} for model {model.id}"
        raise invalid_field(name("duration_seconds"), rule, asked.duration_seconds)
    needs = (
        ("image_reference", "image_urls", asked.image_urls),
        ("video_reference", "video_urls", asked.video_urls),
        ("audio_reference", "audio_urls", asked.audio_urls),
        ("first_and_last_frames", "generation_type", asked.start_image_url),
        ("audio_generation", "generate_audio", asked.generate_audio),
        ("watermark", "watermark", asked.watermark),
        ("last_frame", "return_last_frame", asked.return_last_frame),
    )
    for capability, field, used in needs:
        if used and capability not in model.capabilities:
            raise invalid_field(
                name(field), f"asks for {capability}, which model {model.id} does not support"
            )
