"""Jobs as the Seedancee2 contract asks for them and shows them: as videos."""

from collections.abc import Callable
from typing import Any, Final

from reelgate.video.v1 import video_pb2, video_service_pb2
from reelgate.video.v1.video_service_pb2 import CreateVideoRequest, EstimateVideoRequest

from services.common.clock import rfc3339
from services.common.errors import invalid_field
from services.jobs.convert.metadata import render_metadata
from services.jobs.convert.shared import (
    LIST_LIMIT_DEFAULT,
    CheckUrl,
    SentJob,
    failure_message,
    is_job_id,
    parse_sent_job,
    render_credits,
)
from services.jobs.domain.job import Job
from services.jobs.domain.requests import NewJob
from services.jobs.domain.states import Status
from services.jobs.operations.jobs import Estimate

ID_PREFIX: Final = "vid"
_OUTSIDE_INPUT = {
    "duration_seconds": "input.duration",
    "callback_url": "callback_url",
}
"""What does not stand inside `input` under the name that the domain has for it."""


def parse_new_video(
    request: CreateVideoRequest | EstimateVideoRequest,
    *,
    check_url: CheckUrl,
    random_seed: Callable[[], int],
    uploads_url: str = "",
) -> NewJob:
    """Returns the request with every default resolved. Refuses with INVALID_FIELD."""
    sent = SentJob(
        model=request.model,
        input=request.input,
        duration_seconds=request.input.duration,
        callback_url=request.callback_url,
        metadata=request.metadata if request.HasField("metadata") else None,
        field_name=field_name,
    )
    return parse_sent_job(sent, check_url=check_url, random_seed=random_seed, uploads_url=uploads_url)


def field_name(field: str) -> str:
    """Returns what this contract calls a field of a request."""
    return _OUTSIDE_INPUT.get(field, f"input.{field}")


def parse_list_videos(
    request: video_service_pb2.ListVideosRequest,
) -> tuple[Status | None, str | None, int]:
    """Returns the status to filter by, the id to continue after, and how many jobs. Refuses with INVALID_FIELD."""
    if request.HasField("after") and not is_job_id(request.after, ID_PREFIX):
        raise invalid_field("after", "must be the id of a task", request.after)
    return (
        Status(request.status) if request.HasField("status") else None,
        request.after or None,
        request.limit or LIST_LIMIT_DEFAULT,
    )


def render_created(job: Job) -> video_pb2.CreatedVideo:
    """Returns the answer to an accepted creation."""
    return video_pb2.CreatedVideo(
        id=job.id,
        status=job.status,
        model=job.model,
        credits_reserved=render_credits(job.reserved_micros),
        created_at=rfc3339(job.created_at),
    )


def render_estimate(wanted: NewJob, estimate: Estimate) -> video_pb2.VideoEstimate:
    """Returns what a request would cost."""
    return video_pb2.VideoEstimate(
        model=wanted.model,
        resolution=wanted.input.resolution,
        duration=wanted.input.duration_seconds,
        credits=render_credits(estimate.total_micros),
        available=render_credits(estimate.available_micros),
        covered=estimate.total_micros <= estimate.available_micros,
    )


def render_video(job: Job) -> video_pb2.Video:
    """Returns a job as polls and lists show it: each status has its own fields."""
    return video_pb2.Video(**video_fields(job))


def video_fields(job: Job) -> dict[str, Any]:
    """Returns a job as polls and webhooks show it, as the members of a JSON object."""
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
        fields["metadata"] = render_metadata(job.metadata_json)
    return fields


def _completion(job: Job) -> dict[str, Any]:
    assert job.output is not None
    assert job.ended_at is not None
    output = {"video_url": job.output.video_url, "thumbnail_url": job.output.thumbnail_url}
    if job.input.return_last_frame and job.output.last_frame_url is not None:
        output["last_frame_url"] = job.output.last_frame_url
    return {
        "completed_at": rfc3339(job.ended_at),
        "credits_charged": render_credits(job.charged_micros),
        "output": output,
    }


def _failure(job: Job) -> dict[str, Any]:
    assert job.failure is not None
    return {
        "credits_charged": 0,
        "credits_refunded": render_credits(job.refunded_micros),
        "error": {
            "code": job.failure.value,
            "message": failure_message(job, field_name),
            "type": "generation_error",
        },
    }
