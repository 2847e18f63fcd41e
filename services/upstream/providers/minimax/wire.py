"""MiniMax's bodies: written from an order, parsed into the answers of `provider.py`. No I/O here."""

from typing import Any, Final

from services.upstream.bodies import UnusableBodyError, member, parse_object, parse_task_id
from services.upstream.content_items import content_items
from services.upstream.provider import Done, Order, Pending, RefusalKind, Refused
from services.upstream.providers.minimax.errors import failure

RESOLUTIONS: Final = {"768p": "768P", "2k": "2K"}
ADAPTIVE: Final = "adaptive"


def render_order(order: Order) -> dict[str, Any]:
    """Returns the body of a create request. References keep their order: it numbers them in the prompt.

    Without a file to adapt to, `adaptive` is refused; left out, MiniMax chooses, which is what it asks for.
    """
    body: dict[str, Any] = {
        "model": order.model,
        "content": content_items(order, prompt=order.prompt),
        "resolution": RESOLUTIONS[order.resolution],
        "duration": order.duration_seconds,
        "aigc_watermark": order.watermark,
    }
    if order.aspect_ratio != ADAPTIVE or order.references:
        body["ratio"] = order.aspect_ratio
    return body


def parse_created(body: bytes) -> str:
    """Returns the new task's id. Raises UnusableBodyError if the body holds none."""
    return parse_task_id(parse_object(body).get("task_id"))


def parse_task(body: bytes) -> Pending | Done | Refused:
    """Returns where a task is. An unknown status counts as running; our own deadline ends it.

    Raises UnusableBodyError if the body is not a task.
    """
    task = member(parse_object(body), "task")
    match task.get("status"):
        case "queued":
            return Pending(running=False)
        case "succeeded":
            return _done(member(task, "content").get("url"))
        case "failed":
            return failure(member(task, "error"))
        case "expired":
            return Refused(kind=RefusalKind.EXPIRED, detail="task expired")
        case "cancelled" | "canceled":
            return Refused(kind=RefusalKind.FAILED, detail="task cancelled")
        case str():
            return Pending(running=True)
        case _:
            raise UnusableBodyError("task without a status")


def _done(url: object) -> Done | Refused:
    if not isinstance(url, str) or not url:
        return Refused(kind=RefusalKind.UNAVAILABLE, detail="task succeeded without a video")
    return Done(video_url=url)
