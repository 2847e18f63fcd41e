"""Refuses a request that no route can render as it is, before anything is set aside for it."""

from collections.abc import Sequence

from services.common.errors import invalid_field
from services.jobs.domain.offers import Offer
from services.jobs.domain.requests import NewJob
from services.jobs.domain.routes import Lack

_FIELDS = {
    "resolutions": "resolution",
    "seconds": "duration_seconds",
    "aspect_ratios": "aspect_ratio",
    "image_references": "image_urls",
    "video_references": "video_urls",
    "audio_references": "audio_urls",
    "start_frame": "start_image_url",
    "end_frame": "end_image_url",
    "audio": "generate_audio",
    "watermark": "watermark",
    "prompt_characters": "prompt",
}
"""The field of a request that asks for each feature."""
_FRAMES = {"start_frame": 0, "end_frame": 1}
"""Where each frame is among the files of a request."""


def refuse_unless_possible(wanted: NewJob, offer: Offer) -> None:
    """Refuses with INVALID_FIELD what no route of the model can do, naming the field and what would be possible.

    Each single value is one that the model has; it is their combination that nobody can render.
    """
    asked = wanted.input.asked(names_seed=False)
    if offer.choices.can(asked):
        return
    lack = offer.choices.lack(asked)
    field = wanted.field_name(_field_of(lack.feature, wanted.reference_fields))
    raise invalid_field(field, f"{_rule(lack)} for model {offer.model.id} with the rest of this request")


def _field_of(feature: str, reference_fields: Sequence[str]) -> str:
    """Returns the field by which the request asks for a feature, of those that are ways to do so."""
    if feature in _FRAMES and len(reference_fields) > _FRAMES[feature]:
        return reference_fields[_FRAMES[feature]].partition("[")[0]
    if feature == "video_references" and "video_url" in reference_fields:
        return "video_url"
    if feature == "references":
        return reference_fields[-1].partition("[")[0]
    return _FIELDS[feature]


def _rule(lack: Lack) -> str:
    possible = lack.possible
    match lack.feature:
        case "image_references" | "video_references" | "audio_references":
            most = possible[-1]
            return f"can hold at most {most}" if most else "cannot be sent"
        case "references":
            return f"is too long: at most {possible[-1]} references in all are possible"
        case "prompt_characters":
            return f"must have at most {possible[-1]:,} characters"
        case "start_frame" | "end_frame":
            return "cannot be sent"
        case "audio" | "watermark":
            return f"must be {str(bool(possible[0])).lower()}"
        case _:
            return f"must be one of {', '.join(map(str, possible))}"
