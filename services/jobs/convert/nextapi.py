"""Jobs as the NextAPI contract asks for them and shows them."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from reelgate.nextapi.v1 import job_pb2, job_service_pb2

from services.common.clock import rfc3339
from services.jobs.convert.metadata import render_metadata
from services.jobs.convert.shared import (
    LIST_LIMIT_DEFAULT,
    CheckUrl,
    SentJob,
    failure_message,
    parse_sent_job,
    render_credits,
)
from services.jobs.domain.failures import FailureCode
from services.jobs.domain.job import Job, progress_percent
from services.jobs.domain.requests import NewJob
from services.jobs.domain.states import Status

ID_PREFIX: Final = "job"
_CANCELED = "canceled"
_OTHER_NAMES = {"callback_url": "webhook_url"}


def parse_new_job(
    request: job_service_pb2.CreateJobRequest,
    *,
    check_url: CheckUrl,
    random_seed: Callable[[], int],
    uploads_url: str = "",
) -> NewJob:
    """Returns the request with every default resolved. Refuses with INVALID_FIELD."""
    sent = SentJob(
        model=request.model,
        input=request,
        duration_seconds=request.duration_seconds,
        callback_url=request.webhook_url,
        metadata=request.metadata if request.HasField("metadata") else None,
        field_name=field_name,
        moderation_profile=request.moderation_profile,
    )
    return parse_sent_job(sent, check_url=check_url, random_seed=random_seed, uploads_url=uploads_url)


def field_name(field: str) -> str:
    """Returns what this contract calls a field of a request."""
    return _OTHER_NAMES.get(field, field)


def parse_list_jobs(request: job_service_pb2.ListJobsRequest) -> tuple[int, int]:
    """Returns how many jobs, and how many newer ones to leave out."""
    return request.limit or LIST_LIMIT_DEFAULT, request.offset


def render_created(job: Job) -> job_service_pb2.CreateJobResponse:
    """Returns the answer to an accepted creation."""
    return job_service_pb2.CreateJobResponse(
        id=job.id, status=job_status(job), estimated_credits=render_credits(job.reserved_micros)
    )


def render_job(job: Job, *, now: datetime) -> job_pb2.Job:
    """Returns a job as polls and lists show it: each status has its own fields."""
    return job_pb2.Job(**job_fields(job, now=now))


def job_status(job: Job) -> str:
    """Returns where a job is in the contract's words: it runs only once it was seen to render."""
    if job.status is Status.COMPLETED:
        return "succeeded"
    if job.status is Status.FAILED:
        return _CANCELED if job.failure is FailureCode.CANCELLED else "failed"
    return "queued" if job.started_at is None else "running"


def job_fields(job: Job, *, now: datetime) -> dict[str, Any]:
    """Returns a job as polls and webhooks show it, as the members of a JSON object."""
    fields: dict[str, Any] = {
        "id": job.id,
        "status": job_status(job),
        "model": job.model,
        "progress": progress_percent(job, now=now),
        "estimated_credits": render_credits(job.reserved_micros),
        "created_at": rfc3339(job.created_at),
    }
    if job.started_at is not None:
        fields["started_at"] = rfc3339(job.started_at)
    if job.status in (Status.COMPLETED, Status.FAILED):
        fields |= _end(job)
    if job.metadata_json is not None:
        fields["metadata"] = render_metadata(job.metadata_json)
    return fields


def _end(job: Job) -> dict[str, Any]:
    assert job.ended_at is not None
    fields: dict[str, Any] = {
        "completed_at": rfc3339(job.ended_at),
        "credits": render_credits(job.charged_micros),
    }
    if job.status is Status.COMPLETED:
        return fields | _output(job)
    assert job.failure is not None
    code = _CANCELED if job.failure is FailureCode.CANCELLED else job.failure.value
    return {**fields, "error": {"code": code, "message": failure_message(job, field_name)}}


def _output(job: Job) -> dict[str, str]:
    assert job.output is not None
    output = {"video_url": job.output.video_url, "thumbnail_url": job.output.thumbnail_url}
    if job.input.return_last_frame and job.output.last_frame_url is not None:
        output["last_frame_url"] = job.output.last_frame_url
    return output
