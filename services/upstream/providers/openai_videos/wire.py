"""The bodies of OpenAI's video API and its dialects: written from an order, parsed into answers. No I/O here."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from services.upstream.bodies import UnusableBodyError, member, parse_object
from services.upstream.features import Asked, Features, characters, lacking
from services.upstream.provider import Done, Order, Pending, RefusalKind, Refused
from services.upstream.providers.openai_videos.errors import error_of, refusal

OPENAI: Final = "openai"
"""What OpenAI documented."""
GATEWAY: Final = "gateway"
"""OpenAI's fields with the lengths and sizes of other models: LiteLLM, Bifrost and their like."""
NEW_API: Final = "new-api"
"""new-api, which hands `metadata` on to a provider that speaks ModelArk's language."""

# Gateways put the provider and the model into their ids: LiteLLM in base64, Bifrost behind a colon.
_TASK_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:=+-]{0,511}")

_SIZES: Final[Mapping[str, Mapping[str, str]]] = {
    "480p": {
        "21:9": "992x432", "16:9": "864x496", "4:3": "752x560", "1:1": "640x640", "3:4": "560x752", "9:16": "496x864",
    },
    "720p": {
        "21:9": "1470x630", "16:9": "1280x720", "4:3": "1112x834", "1:1": "960x960", "3:4": "834x1112", "9:16": "720x1280",
    },
    "1080p": {
        "21:9": "2206x946", "16:9": "1920x1080", "4:3": "1664x1248", "1:1": "1440x1440", "3:4": "1248x1664", "9:16": "1080x1920",
    },
}  # fmt: skip

_ALWAYS = frozenset({True})
_NEVER = frozenset({False})
FEATURES: Final[Mapping[str, Features]] = {
    OPENAI: Features(
        resolutions=frozenset({"720p", "1080p"}),
        seconds=frozenset({4, 8, 12}),
        aspect_ratios=frozenset({"16:9", "9:16"}),
        image_references=0,
        video_references=0,
        audio_references=0,
        start_frame=True,
        end_frame=False,
        audio=_ALWAYS,
        watermark=_NEVER,
        seed=False,
    ),
    GATEWAY: Features(
        resolutions=frozenset(_SIZES),
        seconds=frozenset(range(4, 16)),
        aspect_ratios=frozenset(_SIZES["720p"]),
        image_references=0,
        video_references=0,
        audio_references=0,
        start_frame=True,
        end_frame=False,
        audio=_ALWAYS,
        watermark=_NEVER,
        seed=False,
    ),
    NEW_API: Features(
        resolutions=frozenset(_SIZES),
        seconds=frozenset(range(4, 16)),
        aspect_ratios=frozenset(_SIZES["720p"]) | {"adaptive"},
        image_references=9,
        video_references=3,
        audio_references=3,
        start_frame=True,
        end_frame=True,
        audio=_ALWAYS | _NEVER,
        watermark=_ALWAYS | _NEVER,
        seed=True,
    ),
}
"""By dialect. Whether a video has sound is the model's affair where it cannot be asked for."""


def inexpressible(order: Order, *, dialect: str) -> str | None:
    """Returns the name of the first feature of an order that its dialect has no words for, or None."""
    asked = Asked(
        resolutions=order.resolution,
        seconds=order.duration_seconds,
        aspect_ratios=order.aspect_ratio,
        image_references=len(order.image_urls),
        video_references=len(order.video_urls),
        audio_references=len(order.audio_urls),
        references=len(order.image_urls) + len(order.video_urls) + len(order.audio_urls),
        start_frame=order.start_image_url is not None,
        end_frame=order.end_image_url is not None,
        audio=order.generate_audio,
        watermark=order.watermark,
        prompt_characters=characters(order.prompt),
        seed=False,
    )
    return lacking(asked, FEATURES[dialect])


def render_order(order: Order, *, dialect: str) -> dict[str, Any]:
    """Returns the body of a create request."""
    body: dict[str, Any] = {
        "model": order.model,
        "prompt": order.prompt,
        "seconds": str(order.duration_seconds),
    }
    if size := _SIZES[order.resolution].get(order.aspect_ratio):
        body["size"] = size
    if dialect == NEW_API:
        body["duration"] = order.duration_seconds
        body["metadata"] = _metadata(order)
    return body


def picture_of(order: Order, *, dialect: str) -> tuple[str, ...]:
    """Returns the address of the picture that goes along as a file, if there is one."""
    first = order.start_image_url
    return (first,) if first is not None and dialect != NEW_API else ()


def parse_created(body: bytes) -> str:
    """Returns the new task's id. Raises UnusableBodyError if the body holds none."""
    created = parse_object(body)
    return _task_id(created.get("id") or created.get("task_id"))


def task_path(task_id: str) -> str:
    """Returns an id as one segment of a path."""
    return quote(task_id, safe="")


def parse_task(body: bytes, *, content_url: str) -> Pending | Done | Refused:
    """Returns where a task is; its video is at `content_url` unless the answer names another address.

    An unknown status counts as running; our own deadline ends it. Raises UnusableBodyError if the body is not a task.
    """
    task = parse_object(body)
    match task.get("status"):
        case "queued" | "pending" | "submitted":
            return Pending(running=False)
        case "completed":
            return _done(task, content_url)
        case "failed":
            error = error_of(task.get("error"))
            return refusal(error, otherwise=RefusalKind.FAILED, detail=f"task failed {error.name}".rstrip())
        case "expired":
            return Refused(kind=RefusalKind.EXPIRED, detail="task expired")
        case "cancelled" | "canceled":
            return Refused(kind=RefusalKind.FAILED, detail="task cancelled")
        case str():
            return Pending(running=True)
        case _:
            raise UnusableBodyError("task without a status")


def _metadata(order: Order) -> dict[str, Any]:
    media = [
        ("image_url", order.start_image_url, "first_frame"),
        ("image_url", order.end_image_url, "last_frame"),
        *(("image_url", url, "reference_image") for url in order.image_urls),
        *(("video_url", url, "reference_video") for url in order.video_urls),
        *(("audio_url", url, "reference_audio") for url in order.audio_urls),
    ]
    metadata: dict[str, Any] = {
        "resolution": order.resolution,
        "ratio": order.aspect_ratio,
        "generate_audio": order.generate_audio,
        "watermark": order.watermark,
        "seed": order.seed,
    }
    content = [{"type": kind, kind: {"url": url}, "role": role} for kind, url, role in media if url]
    return {**metadata, "content": content} if content else metadata


def _done(task: dict[str, Any], content_url: str) -> Done | Refused:
    if member(task, "content_filter").get("filtered_count") and not task.get("videos"):
        return Refused(kind=RefusalKind.CONTENT, detail="the finished video was withheld")
    if task.get("videos") == []:
        return Refused(kind=RefusalKind.UNAVAILABLE, detail="task completed without a video")
    return Done(video_url=_named_url(task) or content_url, ended_at=_moment(task.get("completed_at")))


def _named_url(task: dict[str, Any]) -> str | None:
    """Returns the address that new-api or Bifrost gives for the video, if it is a link."""
    videos = task.get("videos")
    first = videos[0] if isinstance(videos, list) and videos else None
    for named in (member(task, "metadata").get("url"), first.get("url") if isinstance(first, dict) else None):
        if isinstance(named, str) and named.startswith(("https://", "http://")):
            return named
    return None


def _moment(seconds: object) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC) if isinstance(seconds, int) and seconds else None
    except (ValueError, OverflowError, OSError):
        return None


def _task_id(value: object) -> str:
    if not isinstance(value, str) or not _TASK_ID.fullmatch(value):
        raise UnusableBodyError("no usable task id")
    return value
