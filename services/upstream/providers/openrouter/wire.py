"""OpenRouter's bodies: written from an order, parsed into the answers of `provider.py`. No I/O here."""

from typing import Any

from services.upstream.bodies import UnusableBodyError, member, parse_object, parse_task_id, text
from services.upstream.provider import Done, Order, Pending, RefusalKind, Refused
from services.upstream.providers.openrouter.errors import failure

_EVENT = "video.generation."


def render_order(order: Order, *, callback_url: str | None) -> dict[str, Any]:
    """Returns the body of a create request. An adaptive ratio is one that is not named."""
    body: dict[str, Any] = {
        "model": order.model,
        "prompt": order.prompt,
        "duration": order.duration_seconds,
        "resolution": order.resolution,
        "generate_audio": order.generate_audio,
        "seed": order.seed,
    }
    if order.aspect_ratio != "adaptive":
        body["aspect_ratio"] = order.aspect_ratio
    if frames := _frames(order):
        body["frame_images"] = frames
    if references := _references(order):
        body["input_references"] = references
    # Addresses without encryption are refused, and polling finds out as well.
    if callback_url is not None and callback_url.startswith("https://"):
        body["callback_url"] = callback_url
    return body


def parse_created(body: bytes) -> str:
    """Returns the new task's id. Raises UnusableBodyError if the body holds none.

    The answer names an address to poll as well, which is not needed: the API has one for every id.
    """
    return parse_task_id(parse_object(body).get("id"))


def parse_task(body: bytes, *, content_url: str) -> Pending | Done | Refused:
    """Returns where a task is; its video is at `content_url` if the answer has no list of addresses.

    An unknown status counts as running; our own deadline ends it. Raises UnusableBodyError if the body is not a task.
    """
    task = parse_object(body)
    match task.get("status"):
        case "pending" | "queued":
            return Pending(running=False)
        case "completed":
            return _done(task.get("unsigned_urls"), content_url)
        case "failed":
            error = task.get("error")
            return failure(text(error) or text(member(task, "error").get("message")))
        case "expired":
            return Refused(kind=RefusalKind.EXPIRED, detail="task expired")
        case "cancelled" | "canceled":
            return Refused(kind=RefusalKind.FAILED, detail="task cancelled")
        case str():
            return Pending(running=True)
        case _:
            raise UnusableBodyError("task without a status")


def parse_event(body: bytes) -> str:
    """Returns the task that a callback names. Raises UnusableBodyError if it names none."""
    event = parse_object(body)
    if not text(event.get("type")).startswith(_EVENT):
        raise UnusableBodyError("no event of a task")
    return parse_task_id(member(event, "data").get("id"))


def _frames(order: Order) -> list[dict[str, Any]]:
    frames = ((order.start_image_url, "first_frame"), (order.end_image_url, "last_frame"))
    return [{**_item("image_url", url), "frame_type": place} for url, place in frames if url is not None]


def _references(order: Order) -> list[dict[str, Any]]:
    return [
        *(_item("image_url", url) for url in order.image_urls),
        *(_item("video_url", url) for url in order.video_urls),
        *(_item("audio_url", url) for url in order.audio_urls),
    ]


def _item(kind: str, url: str) -> dict[str, Any]:
    return {"type": kind, kind: {"url": url}}


def _done(urls: object, content_url: str) -> Done | Refused:
    if urls is None:
        return Done(video_url=content_url)
    first = urls[0] if isinstance(urls, list) and urls else None
    if not isinstance(first, str) or not first:
        return Refused(kind=RefusalKind.UNAVAILABLE, detail="task completed without a video")
    return Done(video_url=first)
