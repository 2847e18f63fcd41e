"""Wire messages and domain values of the public API, both ways. The rules are those of the Seedancee2 contract."""

import json
import math
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from google.protobuf.struct_pb2 import Struct, Value
from reelgate.models.v1 import model_pb2
from reelgate.usage.v1 import usage_pb2, usage_service_pb2
from reelgate.video.v1 import video_pb2, video_service_pb2
from reelgate.video.v1.video_service_pb2 import CreateVideoRequest, EstimateVideoRequest

from services.common.clock import parse_moment, rfc3339, whole_milliseconds
from services.common.egress import ForbiddenUrlError
from services.common.errors import invalid_field
from services.jobs.domain import (
    FAILURE_MESSAGE,
    MICROS_PER_CREDIT,
    Job,
    NewVideo,
    Offer,
    Status,
    VideoInput,
)
from services.jobs.operations.estimate_video import Estimate
from services.jobs.operations.get_usage import Tally, Usage
from services.jobs.operations.get_video import job_not_found

CheckUrl = Callable[[str], None]
"""Raises ForbiddenUrlError for an address that nobody may be sent to."""

METADATA_BYTES_MAX = 16 * 1024
METADATA_DEPTH_MAX = 5
DURATION_SECONDS_DEFAULT = 5
RESOLUTION_DEFAULT = "720p"
ASPECT_RATIO_DEFAULT = "16:9"
LIST_LIMIT_DEFAULT = 20
USAGE_RANGE_DEFAULT = timedelta(days=30)
USAGE_DAYS_DEFAULT = 30

_JOB_ID = re.compile(r"vid_[0-9a-hjkmnp-tv-z]{26}")
_FRAMES = "first_and_last_frames"
_FRAME_FIELDS = ("start_image_url", "end_image_url")
# Beyond it a double no longer holds every whole number, and its digits are better left to the exponent form.
_WHOLE_MAX = 2**53


def parse_new_video(
    request: CreateVideoRequest | EstimateVideoRequest, *, check_url: CheckUrl, random_seed: Callable[[], int]
) -> NewVideo:
    """Returns the request with every default resolved. Refuses with INVALID_FIELD.

    Expects what the protos' own rules let through. An address is refused under the name its sender gave it.
    """
    wanted = _parse_input(request.input, random_seed)
    for field, url in _urls(request):
        try:
            check_url(url)
        except ForbiddenUrlError as error:
            raise invalid_field(field, error.why, url) from error
    return NewVideo(
        model=request.model,
        input=wanted,
        callback_url=request.callback_url or None,
        metadata_json=_metadata_json(request.metadata) if request.HasField("metadata") else None,
    )


def parse_job_id(text: str) -> str:
    """Returns the id of a job. Refuses with JOB_NOT_FOUND what cannot be one."""
    if _JOB_ID.fullmatch(text) is None:
        raise job_not_found(text)
    return text


def parse_list_videos(
    request: video_service_pb2.ListVideosRequest,
) -> tuple[Status | None, str | None, int]:
    """Returns the status to filter by, the id to continue after, and how many jobs. Refuses with INVALID_FIELD."""
    if request.HasField("after") and _JOB_ID.fullmatch(request.after) is None:
        raise invalid_field("after", "must be the id of a task", request.after)
    return (
        Status(request.status) if request.HasField("status") else None,
        request.after or None,
        request.limit or LIST_LIMIT_DEFAULT,
    )


def parse_get_usage(
    request: usage_service_pb2.GetUsageRequest, *, now: datetime
) -> tuple[datetime, datetime, int]:
    """Returns first and last moment in whole milliseconds, and how many days. Refuses with INVALID_FIELD."""
    end = parse_moment("end", request.end) if request.HasField("end") else whole_milliseconds(now)
    start = parse_moment("start", request.start) if request.HasField("start") else end - USAGE_RANGE_DEFAULT
    if start > end:
        raise invalid_field("start", f"must not be after the end of the range, {rfc3339(end)}", request.start)
    return start, end, request.limit or USAGE_DAYS_DEFAULT


def render_created(job: Job) -> video_pb2.CreatedVideo:
    """Returns the answer to an accepted creation."""
    return video_pb2.CreatedVideo(
        id=job.id,
        status=job.status,
        model=job.model,
        credits_reserved=_credits(job.reserved_micros),
        created_at=rfc3339(job.created_at),
    )


def render_estimate(wanted: NewVideo, estimate: Estimate) -> video_pb2.VideoEstimate:
    """Returns what a request would cost."""
    return video_pb2.VideoEstimate(
        model=wanted.model,
        resolution=wanted.input.resolution,
        duration=wanted.input.duration_seconds,
        credits=_credits(estimate.total_micros),
        available=_credits(estimate.available_micros),
        covered=estimate.total_micros <= estimate.available_micros,
    )


def render_video(job: Job) -> video_pb2.Video:
    """Returns a job as polls and lists show it: each status has its own fields."""
    return video_pb2.Video(**_video(job))


def render_event(job: Job) -> tuple[str, bytes]:
    """Returns the type and the exact body of the webhook of a job that ended: the same JSON as a poll."""
    body = json.dumps({"data": _video(job)}, ensure_ascii=False, separators=(",", ":"))
    return f"video.generation.{job.status}", body.encode()


def render_model(offer: Offer) -> model_pb2.Model:
    """Returns a model as lists show it."""
    return model_pb2.Model(**_model(offer))


def render_model_detail(offer: Offer) -> model_pb2.ModelDetail:
    """Returns a model with everything an integration may want to know."""
    return model_pb2.ModelDetail(
        **_model(offer),
        aspect_ratios=offer.model.aspect_ratios,
        capabilities=offer.model.capabilities,
        credits_per_second={
            resolution: _credits(price.micros_per_second) for resolution, price in offer.prices.items()
        },
    )


def render_usage(usage: Usage) -> usage_pb2.Usage:
    """Returns the summary of a range."""
    return usage_pb2.Usage(
        range=usage_pb2.UsageRange(start=rfc3339(usage.start), end=rfc3339(usage.end)),
        summary=usage_pb2.UsageSummary(**_tally(usage.summary)),
        by_model=[usage_pb2.ModelUsage(model=model, **_tally(tally)) for model, tally in usage.by_model],
        timeline=[usage_pb2.DayUsage(date=day.isoformat(), **_tally(tally)) for day, tally in usage.timeline],
    )


def _parse_input(sent: video_pb2.VideoInput, random_seed: Callable[[], int]) -> VideoInput:
    if not sent.prompt.strip():
        raise invalid_field("input.prompt", "must not be blank")
    if sent.HasField("video_url") and sent.video_urls:
        raise invalid_field("input.video_url", "cannot be sent together with input.video_urls")
    images: tuple[str, ...] = ()
    start = end = None
    if sent.generation_type == _FRAMES:
        start, end = _parse_frames(sent)
    else:
        images = _parse_references(sent)
    aspect_ratio = sent.aspect_ratio or ASPECT_RATIO_DEFAULT
    if aspect_ratio == "adaptive" and not (images or start):
        aspect_ratio = ASPECT_RATIO_DEFAULT
    return VideoInput(
        prompt=sent.prompt,
        duration_seconds=sent.duration or DURATION_SECONDS_DEFAULT,
        resolution=sent.resolution or RESOLUTION_DEFAULT,
        aspect_ratio=aspect_ratio,
        generate_audio=sent.generate_audio,
        watermark=sent.watermark,
        return_last_frame=sent.return_last_frame,
        seed=sent.seed if sent.HasField("seed") else random_seed(),
        image_urls=images,
        video_urls=(sent.video_url,) if sent.HasField("video_url") else tuple(sent.video_urls),
        audio_urls=tuple(sent.audio_urls),
        start_image_url=start,
        end_image_url=end,
    )


def _parse_references(sent: video_pb2.VideoInput) -> tuple[str, ...]:
    for name in _FRAME_FIELDS:
        if getattr(sent, name):
            raise invalid_field(f"input.{name}", f"is only allowed with generation_type {_FRAMES}")
    # Every provider of these models refuses sound alone; a refusal now is better than a failed task.
    if sent.audio_urls and not (sent.image_urls or sent.video_urls or sent.video_url):
        raise invalid_field("input.audio_urls", "needs at least one reference image or video beside it")
    return tuple(sent.image_urls)


def _parse_frames(sent: video_pb2.VideoInput) -> tuple[str, str]:
    for name in ("video_url", "video_urls", "audio_urls"):
        if getattr(sent, name):
            raise invalid_field(f"input.{name}", f"cannot be combined with generation_type {_FRAMES}")
    frames = [getattr(sent, name) for name in _FRAME_FIELDS]
    if sent.image_urls:
        if any(frames):
            raise invalid_field(
                "input.image_urls", f"cannot be combined with input.{' and input.'.join(_FRAME_FIELDS)}"
            )
        if len(sent.image_urls) != 2:
            rule = f"must hold exactly 2 images with generation_type {_FRAMES}; it had {len(sent.image_urls)}"
            raise invalid_field("input.image_urls", rule)
        frames = list(sent.image_urls)
    for name, frame in zip(_FRAME_FIELDS, frames, strict=True):
        if not frame:
            rule = f"is required with generation_type {_FRAMES}, unless input.image_urls holds the 2 frames"
            raise invalid_field(f"input.{name}", rule)
    return frames[0], frames[1]


def _urls(request: CreateVideoRequest | EstimateVideoRequest) -> Iterator[tuple[str, str]]:
    """Every address of a request, under the name its sender gave it."""
    sent = request.input
    for name in (*_FRAME_FIELDS, "video_url"):
        if getattr(sent, name):
            yield f"input.{name}", getattr(sent, name)
    for name in ("image_urls", "video_urls", "audio_urls"):
        for index, url in enumerate(getattr(sent, name)):
            yield f"input.{name}[{index}]", url
    if request.HasField("callback_url"):
        yield "callback_url", request.callback_url


def _metadata_json(sent: Struct) -> str:
    text = json.dumps(_fields(sent, 1), ensure_ascii=False, separators=(",", ":"))
    byte_count = len(text.encode())
    if byte_count > METADATA_BYTES_MAX:
        rule = f"must be at most {METADATA_BYTES_MAX} bytes of JSON; it had {byte_count}"
        raise invalid_field("metadata", rule)
    return text


def _fields(sent: Struct, depth: int) -> dict[str, Any]:
    if depth > METADATA_DEPTH_MAX:
        raise invalid_field("metadata", f"must be at most {METADATA_DEPTH_MAX} levels deep")
    return {name: _value(value, depth) for name, value in sent.fields.items()}


def _value(sent: Value, depth: int) -> Any:
    kind = sent.WhichOneof("kind")
    if kind == "string_value":
        return sent.string_value
    if kind == "number_value":
        return _number(sent.number_value)
    if kind == "bool_value":
        return sent.bool_value
    if kind == "struct_value":
        return _fields(sent.struct_value, depth + 1)
    if kind == "list_value":
        if depth == METADATA_DEPTH_MAX:
            raise invalid_field("metadata", f"must be at most {METADATA_DEPTH_MAX} levels deep")
        return [_value(value, depth + 1) for value in sent.list_value.values]
    return None


def _number(sent: float) -> float:
    if not math.isfinite(sent):
        raise invalid_field("metadata", "must not hold numbers that JSON cannot write", str(sent))
    return int(sent) if sent.is_integer() and abs(sent) <= _WHOLE_MAX else sent


def _video(job: Job) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "id": job.id,
        "status": job.status.value,
        "model": job.model,
        "created_at": rfc3339(job.created_at),
    }
    if job.status is Status.COMPLETED:
        fields |= _completion(job)
    elif job.status is Status.FAILED:
        fields |= _failure(job)
    if job.metadata_json is not None:
        fields["metadata"] = json.loads(job.metadata_json)
    return fields


def _completion(job: Job) -> dict[str, Any]:
    assert job.output is not None
    assert job.ended_at is not None
    output = {"video_url": job.output.video_url, "thumbnail_url": job.output.thumbnail_url}
    if job.input.return_last_frame and job.output.last_frame_url is not None:
        output["last_frame_url"] = job.output.last_frame_url
    return {
        "completed_at": rfc3339(job.ended_at),
        "credits_charged": _credits(job.charged_micros),
        "output": output,
    }


def _failure(job: Job) -> dict[str, Any]:
    assert job.failure is not None
    return {
        "credits_charged": 0,
        "credits_refunded": _credits(job.refunded_micros),
        "error": {
            "code": job.failure.value,
            "message": FAILURE_MESSAGE[job.failure],
            "type": "generation_error",
        },
    }


def _credits(micros: int) -> float:
    whole, rest = divmod(micros, MICROS_PER_CREDIT)
    return micros / MICROS_PER_CREDIT if rest else whole


def _model(offer: Offer) -> dict[str, Any]:
    return {
        "id": offer.model.id,
        "status": "active",
        "resolutions": list(offer.prices),
        "duration": {"min": offer.model.duration_seconds_min, "max": offer.model.duration_seconds_max},
    }


def _tally(tally: Tally) -> dict[str, Any]:
    return {
        "total_jobs": tally.total,
        "pending_jobs": tally.pending,
        "processing_jobs": tally.processing,
        "completed_jobs": tally.completed,
        "failed_jobs": tally.failed,
        "credits_charged": _credits(tally.charged_micros),
        "credits_refunded": _credits(tally.refunded_micros),
        "net_credits": _credits(tally.net_micros),
    }
