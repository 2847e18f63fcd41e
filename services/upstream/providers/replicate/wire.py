"""Replicate's bodies: written from an order, parsed into the answers of `provider.py`. No I/O here."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from services.upstream.bodies import UnusableBodyError, parse_object, parse_task_id, text
from services.upstream.call import RETRY_AFTER_SECONDS_MAX
from services.upstream.provider import Done, Order, Pending, RefusalKind, Refused
from services.upstream.providers.replicate.errors import failure
from services.upstream.reference_tokens import with_tokens
from services.upstream.standard_webhooks import parse_secret

_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}/[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_URL_LENGTH_MAX = 8_192


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page of a list of predictions: the models they are of, and the address of the next one."""

    models: tuple[str, ...]
    next_url: str


def is_model(model: str) -> bool:
    """Returns whether a text is the name of an official model: `owner/name`."""
    return _MODEL.fullmatch(model) is not None


def render_order(order: Order, *, callback_url: str | None) -> dict[str, Any]:
    """Returns the body of a create request. References keep their order: it numbers them in the prompt."""
    media: dict[str, object] = {
        "image": order.start_image_url,
        "last_frame_image": order.end_image_url,
        "reference_images": list(order.image_urls),
        "reference_videos": list(order.video_urls),
        "reference_audios": list(order.audio_urls),
    }
    asked = {
        "prompt": with_tokens(order, "[{}]".format),
        "duration": order.duration_seconds,
        "resolution": order.resolution,
        "aspect_ratio": order.aspect_ratio,
        "generate_audio": order.generate_audio,
        "seed": order.seed,
        **{name: value for name, value in media.items() if value},
    }
    called = {"webhook": callback_url, "webhook_events_filter": ["completed"]} if callback_url else {}
    return {"input": asked, **called}


def parse_created(body: bytes) -> str:
    """Returns the new prediction's id. Raises UnusableBodyError if the body holds none."""
    return parse_task_id(parse_object(body).get("id"))


def parse_prediction(body: bytes) -> Pending | Done | Refused:
    """Returns where a prediction is. An unknown status counts as running; our own deadline ends it.

    Raises UnusableBodyError if the body is not a prediction.
    """
    prediction = parse_object(body)
    match prediction.get("status"):
        case "starting":
            return Pending(running=False)
        case "succeeded":
            return _done(prediction)
        case "failed":
            return failure(text(prediction.get("error")))
        case "canceled" | "cancelled" | "aborted":
            return Refused(kind=RefusalKind.FAILED, detail="prediction cancelled")
        case str():
            return Pending(running=True)
        case _:
            raise UnusableBodyError("prediction without a status")


def parse_page(body: bytes) -> Page:
    """Returns what a list says. Raises UnusableBodyError if the body is none, or has what is no prediction."""
    listing = parse_object(body)
    rows = listing.get("results")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UnusableBodyError("list without results")
    next_url = listing.get("next")
    if next_url is not None and not isinstance(next_url, str):
        raise UnusableBodyError("list with an odd next page")
    return Page(models=tuple(text(row.get("model")) for row in rows), next_url=next_url or "")


def is_problem(body: bytes) -> bool:
    """Returns whether an error was written by Replicate, and not by something on the way to it."""
    try:
        return "detail" in parse_object(body)
    except UnusableBodyError:
        return False


def retry_after_of(body: bytes) -> float | None:
    """Returns the seconds after which an answer asks to come back, at most five minutes, if it does."""
    try:
        seconds = parse_object(body).get("retry_after")
    except UnusableBodyError:
        return None
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or seconds < 0:
        return None
    return float(min(seconds, RETRY_AFTER_SECONDS_MAX))


def parse_callback_key(body: bytes) -> bytes:
    """Returns the key that callbacks are signed with. Raises UnusableBodyError."""
    return parse_secret(text(parse_object(body).get("key")))


def iso(seconds: float) -> str:
    """Returns a moment in Unix seconds as a list is asked for it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _done(prediction: dict[str, Any]) -> Done | Refused:
    output = prediction.get("output")
    video_url = text(output[0] if isinstance(output, list) and output else output, length_max=_URL_LENGTH_MAX)
    if video_url:
        return Done(video_url=video_url, ended_at=_moment(prediction.get("completed_at")))
    if prediction.get("data_removed") is True:
        return Refused(kind=RefusalKind.EXPIRED, detail="the result of the prediction was removed")
    return Refused(kind=RefusalKind.UNAVAILABLE, detail="prediction succeeded without a video")


def _moment(value: object) -> datetime | None:
    """Returns a moment given in ISO 8601 with its zone, if it is one."""
    try:
        moment = datetime.fromisoformat(text(value))
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else None
