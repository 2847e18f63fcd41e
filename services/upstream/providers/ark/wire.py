"""ModelArk's bodies: written from an order, parsed into the answers of `provider.py`. No I/O here."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from services.upstream.bodies import UnusableBodyError, member, parse_object, parse_task_id, text
from services.upstream.content_items import content_items
from services.upstream.provider import Done, Hint, Order, Pending, RefusalKind, Refused
from services.upstream.providers.ark.errors import ArkError, refusal

_SUFFIX_DASHES = re.compile(r"--+(?=[A-Za-z])")
_CODE_LENGTH_MAX = 128


@dataclass(frozen=True, kw_only=True)
class ListedTask:
    """One row of a listing. `created_at` is in Unix seconds."""

    task_id: str
    correlation_id: str
    created_at: float


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page of a listing; `total` counts all pages and is absent if the provider does not say."""

    tasks: tuple[ListedTask, ...]
    total: int | None


def render_order(
    order: Order, *, correlation_id: str, callback_url: str | None, sends_seed: bool
) -> dict[str, Any]:
    """Returns the body of a create request. References keep their order: it numbers them in the prompt."""
    body: dict[str, Any] = {
        "model": order.model,
        "content": content_items(order, prompt=without_suffixes(order.prompt)),
        "resolution": order.resolution,
        "ratio": order.aspect_ratio,
        "duration": order.duration_seconds,
        "generate_audio": order.generate_audio,
        "watermark": order.watermark,
        "return_last_frame": order.return_last_frame,
        "safety_identifier": correlation_id,
    }
    if callback_url is not None:
        body["callback_url"] = callback_url
    if sends_seed or order.options.get("seed") == "true":
        body["seed"] = order.seed
    if tier := order.options.get("service_tier"):
        body["service_tier"] = tier
    if draft := order.options.get("draft"):
        body["draft"] = draft == "true"
    return body


def without_suffixes(prompt: str) -> str:
    """Returns the prompt with `--name value` disarmed: a dash reads the same and overrides nothing."""
    return _SUFFIX_DASHES.sub("—", prompt)


def parse_created(body: bytes) -> str:
    """Returns the new task's id. Raises UnusableBodyError if the body holds none."""
    return parse_task_id(parse_object(body).get("id"))


def parse_task(body: bytes) -> Pending | Done | Refused:
    """Returns where a task is. An unknown status counts as running; our own deadline ends it.

    Raises UnusableBodyError if the body is not a task.
    """
    task = parse_object(body)
    match task.get("status"):
        case "queued" | "pending":
            return Pending(running=False)
        case "succeeded":
            return _done(task.get("content"), task.get("updated_at"))
        case "failed":
            error = _error(task)
            detail = f"task failed {error.code}".rstrip()
            return refusal(error, otherwise=RefusalKind.FAILED, detail=detail)
        case "expired":
            return Refused(kind=RefusalKind.EXPIRED, detail="task expired")
        case "cancelled" | "canceled":
            return Refused(kind=RefusalKind.FAILED, detail="task cancelled")
        case str():
            return Pending(running=True)
        case _:
            raise UnusableBodyError("task without a status")


def parse_correlation_id(body: bytes) -> str:
    """Returns the correlation id of a task, or an empty string. Raises UnusableBodyError if the body is not a task."""
    task = parse_object(body)
    parse_task_id(task.get("id"))
    return _correlation_id(task)


def parse_page(body: bytes) -> Page:
    """Returns the tasks of a listing; a row that is not a task raises UnusableBodyError, as an odd body does."""
    listing = parse_object(body)
    rows = listing.get("items", listing.get("data"))
    if not isinstance(rows, list):
        raise UnusableBodyError("listing without items")
    total = listing.get("total")
    return Page(tasks=tuple(map(_listed, rows)), total=total if isinstance(total, int) else None)


def parse_error(body: bytes) -> ArkError:
    """Returns an error envelope; it is empty if the body is something else."""
    try:
        return _error(parse_object(body))
    except UnusableBodyError:
        return ArkError()


def parse_hint(body: bytes) -> Hint | None:
    """Returns the task that a callback names, if it names a usable one."""
    try:
        return Hint(task_id=parse_created(body), is_authentic=False)
    except UnusableBodyError:
        return None


def _done(content: object, updated_at: object) -> Done | Refused:
    links = content if isinstance(content, dict) else {}
    video_url = links.get("video_url")
    if not isinstance(video_url, str) or not video_url:
        return Refused(kind=RefusalKind.UNAVAILABLE, detail="task succeeded without a video")
    return Done(video_url=video_url, ended_at=_moment(updated_at))


def _moment(seconds: object) -> datetime | None:
    """Returns a moment given in Unix seconds, if it is one."""
    try:
        return datetime.fromtimestamp(seconds, UTC) if isinstance(seconds, int) else None
    except (ValueError, OverflowError, OSError):
        return None


def _listed(row: object) -> ListedTask:
    if not isinstance(row, dict) or not isinstance(created_at := row.get("created_at"), int | float):
        raise UnusableBodyError("listed task without created_at")
    return ListedTask(
        task_id=parse_task_id(row.get("id")), correlation_id=_correlation_id(row), created_at=created_at
    )


def _correlation_id(task: dict[str, Any]) -> str:
    return text(task.get("safety_identifier"))


def _error(envelope: dict[str, Any]) -> ArkError:
    error = member(envelope, "error")
    return ArkError(
        code=text(error.get("code"), length_max=_CODE_LENGTH_MAX),
        parameter=text(error.get("param"), length_max=_CODE_LENGTH_MAX),
        message=text(error.get("message")),
    )
