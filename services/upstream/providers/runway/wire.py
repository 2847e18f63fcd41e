"""Runway's bodies: written from an order, parsed into the answers of `provider.py`. No I/O here."""

from typing import Any, Final

from services.upstream.bodies import UnusableBodyError, parse_object, parse_task_id, text
from services.upstream.provider import Done, Order, Pending, RefusalKind, Refused
from services.upstream.providers.runway.errors import failure

_RATIOS: Final = ("21:9", "16:9", "4:3", "1:1", "3:4", "9:16")
PIXELS: Final = {
    resolution: dict(zip(_RATIOS, sizes, strict=True))
    for resolution, sizes in {
        "480p": ("992:432", "864:496", "752:560", "640:640", "560:752", "496:864"),
        "720p": ("1470:630", "1280:720", "1112:834", "960:960", "834:1112", "720:1280"),
        "1080p": ("2206:946", "1920:1080", "1664:1248", "1440:1440", "1248:1664", "1080:1920"),
        "4k": ("3840:1646", "3840:2160", "3840:2880", "3840:3840", "2880:3840", "2160:3840"),
    }.items()
}
"""How Runway writes a resolution and an aspect ratio: as one size."""


def path_of(order: Order) -> str:
    """Returns where an order goes: frames and references are taken at different places."""
    return "/v1/image_to_video" if order.start_image_url else "/v1/text_to_video"


def render_order(order: Order) -> dict[str, Any]:
    """Returns the body of a create request. References keep their order: it numbers them in the prompt."""
    return {
        "model": order.model,
        "promptText": order.prompt,
        "ratio": PIXELS[order.resolution][order.aspect_ratio],
        "duration": order.duration_seconds,
        "audio": order.generate_audio,
        **_media(order),
    }


def parse_created(body: bytes) -> str:
    """Returns the new task's id. Raises UnusableBodyError if the body holds none."""
    return parse_task_id(parse_object(body).get("id"))


def parse_task(body: bytes) -> Pending | Done | Refused:
    """Returns where a task is. An unknown status counts as running; our own deadline ends it.

    Raises UnusableBodyError if the body is not a task.
    """
    task = parse_object(body)
    match task.get("status"):
        case "PENDING" | "THROTTLED":
            return Pending(running=False)
        case "SUCCEEDED":
            return _done(task.get("output"))
        case "FAILED":
            return failure(text(task.get("failureCode"), length_max=128))
        case "CANCELLED" | "CANCELED":
            return Refused(kind=RefusalKind.FAILED, detail="task cancelled")
        case str():
            return Pending(running=True)
        case _:
            raise UnusableBodyError("task without a status")


def _media(order: Order) -> dict[str, Any]:
    if order.start_image_url:
        frames = [{"uri": order.start_image_url, "position": "first"}]
        if order.end_image_url:
            frames.append({"uri": order.end_image_url, "position": "last"})
        return {"promptImage": frames}
    media = {
        "references": [{"uri": url} for url in order.image_urls],
        "referenceVideos": [{"type": "video", "uri": url} for url in order.video_urls],
        "referenceAudio": [{"type": "audio", "uri": url} for url in order.audio_urls],
    }
    return {name: files for name, files in media.items() if files}


def _done(output: object) -> Done | Refused:
    found = output[0] if isinstance(output, list) and output else None
    if not isinstance(found, str) or not found:
        return Refused(kind=RefusalKind.UNAVAILABLE, detail="task succeeded without a video")
    return Done(video_url=found)
