"""The bodies of another Reelgate, by its NextAPI contract: written from an order, parsed into answers. No I/O here."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from services.upstream.bodies import UnusableBodyError, member, parse_object, parse_task_id, text
from services.upstream.provider import Done, Order, Pending, RefusalKind, Refused
from services.upstream.providers.reelgate.errors import failure

_ATTEMPT = "attempt"
"""The member of a job's metadata that says whose order it is."""
_EVENT = "job."
_URL_LENGTH_MAX = 8_192


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A job of a list."""

    task_id: str
    attempt: str
    """The correlation id of its order; empty if it has none."""
    created_at: float
    """In Unix seconds."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """A part of the list of jobs, newest first."""

    jobs: tuple[Listed, ...]
    has_more: bool


def render_order(order: Order, *, correlation_id: str, callback_url: str | None) -> dict[str, Any]:
    """Returns the body of a create request. Reelgate takes the last frame from the video itself, so none is ordered."""
    media: dict[str, object] = {
        "image_urls": list(order.image_urls),
        "video_urls": list(order.video_urls),
        "audio_urls": list(order.audio_urls),
        "start_image_url": order.start_image_url,
        "end_image_url": order.end_image_url,
        "webhook_url": callback_url,
    }
    has_frames = order.start_image_url is not None or order.end_image_url is not None
    return {
        "model": order.model,
        "prompt": order.prompt,
        "generation_type": "first_and_last_frames" if has_frames else "omni_reference",
        "duration_seconds": order.duration_seconds,
        "resolution": order.resolution,
        "aspect_ratio": order.aspect_ratio,
        "generate_audio": order.generate_audio,
        "watermark": order.watermark,
        "seed": order.seed,
        "metadata": {_ATTEMPT: correlation_id},
        **{name: value for name, value in media.items() if value},
    }


def parse_created(body: bytes) -> str:
    """Returns the new job's id. Raises UnusableBodyError if the body holds none."""
    return parse_task_id(parse_object(body).get("id"))


def parse_task(body: bytes) -> Pending | Done | Refused:
    """Returns where a job is. An unknown status counts as running; our own deadline ends it.

    Raises UnusableBodyError if the body is not a job.
    """
    job = parse_object(body)
    match job.get("status"):
        case "queued":
            return Pending(running=False)
        case "succeeded":
            return _done(job)
        case "failed" | "canceled":
            return failure(member(job, "error"))
        case str():
            return Pending(running=True)
        case _:
            raise UnusableBodyError("job without a status")


def parse_attempt(body: bytes) -> str:
    """Returns the correlation id of a job's order; empty if it has none. Raises UnusableBodyError if it is no job."""
    job = parse_object(body)
    parse_task_id(job.get("id"))
    return text(member(job, "metadata").get(_ATTEMPT))


def parse_page(body: bytes) -> Page:
    """Returns a part of the list. Raises UnusableBodyError if it is none, or has what is no job."""
    listing = parse_object(body)
    rows, has_more = listing.get("data"), listing.get("has_more", False)
    if not isinstance(rows, list) or not isinstance(has_more, bool):
        raise UnusableBodyError("list without jobs")
    return Page(jobs=tuple(_listed(row) for row in rows), has_more=has_more and bool(rows))


def parse_event(body: bytes) -> str:
    """Returns the job that an event is about. Raises UnusableBodyError if it names none."""
    event = parse_object(body)
    if not text(event.get("type")).startswith(_EVENT):
        raise UnusableBodyError("no event of a job")
    return parse_task_id(member(event, "data").get("id"))


def _listed(row: object) -> Listed:
    if not isinstance(row, dict):
        raise UnusableBodyError("list with what is no job")
    created_at = _moment(row.get("created_at"))
    if created_at is None:
        raise UnusableBodyError("job without a time of creation")
    return Listed(
        task_id=parse_task_id(row.get("id")),
        attempt=text(member(row, "metadata").get(_ATTEMPT)),
        created_at=created_at.timestamp(),
    )


def _done(job: dict[str, Any]) -> Done | Refused:
    video_url = text(job.get("video_url"), length_max=_URL_LENGTH_MAX)
    if not video_url:
        return Refused(kind=RefusalKind.UNAVAILABLE, detail="job succeeded without a video")
    return Done(video_url=video_url, ended_at=_moment(job.get("completed_at")))


def _moment(value: object) -> datetime | None:
    """Returns a moment given in RFC 3339, if it is one."""
    try:
        moment = datetime.fromisoformat(text(value))
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else None
