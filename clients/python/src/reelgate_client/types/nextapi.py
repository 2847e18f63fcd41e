"""NextAPI. Generated from the OpenAPI documents."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, TypedDict

from reelgate_client.types.account import TestData, WebhookEndpointDisabledEvent


class _CreateJobRequest(TypedDict):
    """What is always there."""

    model: Literal['seedance-2.0-pro', 'seedance-2.0-fast', 'seedance-2.0-mini']
    """Public model name: `seedance-2.0-pro`, `seedance-2.0-fast` or `seedance-2.0-mini`."""
    prompt: str
    """Text prompt, 1 to 10,000 characters."""


class CreateJobRequest(_CreateJobRequest, total=False):
    """What to generate, with which model, and where to send events."""

    duration_seconds: int
    """Output duration in whole seconds, 4 to 15."""
    resolution: Literal['480p', '720p', '1080p']
    """`480p`, `720p` (default) or `1080p`; a model may support fewer."""
    generation_type: Literal['omni_reference', 'first_and_last_frames']
    """`omni_reference` (default) or `first_and_last_frames`."""
    image_urls: list[str]
    """Reference images: up to 9 http(s) addresses of at most 2,048 characters."""
    video_url: str
    """One reference video, an http(s) address."""
    video_urls: list[str]
    """Reference videos: up to 3 http(s) addresses."""
    audio_urls: list[str]
    """Reference audio: up to 3 http(s) addresses."""
    start_image_url: str
    """First frame, an http(s) address."""
    end_image_url: str
    """Last frame, an http(s) address."""
    aspect_ratio: Literal['16:9', '4:3', '1:1', '3:4', '9:16', '21:9', 'adaptive']
    """`16:9` (default), `4:3`, `1:1`, `3:4`, `9:16`, `21:9` or `adaptive`, which takes the ratio of the first reference image, or 16:9 without one."""
    generate_audio: bool
    """Whether to generate synchronised audio."""
    watermark: bool
    """Whether to mark the picture as generated."""
    seed: int
    """Seed for a repeatable result, 0 to 2147483647."""
    return_last_frame: bool
    """Whether the result includes the last frame as an image."""
    webhook_url: str
    """Where to POST every event of the job, in addition to the account's endpoints: a public http(s) address of at most 2,048 characters."""
    metadata: dict[str, Any]
    """The customer's own object, returned in polls, lists and webhooks: at most 16 KiB of JSON, 2,000 values and 5 levels."""
    moderation_profile: str
    """Name of the moderation profile to apply; the key must allow it."""


class CreateJobResponse(TypedDict):
    """The accepted job."""

    id: str
    """Identifier: `job_` and a lower-case ULID."""
    status: Literal['queued']
    """Always `queued`."""
    estimated_credits: float
    """Credits reserved: the most this job can cost."""


class DeletedJob(TypedDict):
    """A job of which nothing is kept but what was paid for it."""

    id: str
    """Identifier of the job."""
    deleted: Literal[True]
    """Always true."""


class Error(TypedDict):
    """Why a request was refused."""

    error: dict[str, Any]


class GetVideoQuery(TypedDict, total=False):
    """What getVideo can be asked for."""

    wait: int
    """How many seconds to wait for the end of the job before answering, 0 to 60."""


class _JobCanceled(TypedDict):
    """What is always there."""

    id: str
    """Identifier: `job_` and a lower-case ULID."""
    status: Literal['canceled']
    model: str
    """Public model name as requested, such as `seedance-2.0-pro`."""
    progress: int
    """How far it is, 0 to 100."""
    estimated_credits: float
    """Credits reserved: the most this job can cost."""
    created_at: str
    """When the job was accepted: RFC 3339, UTC, milliseconds."""
    completed_at: str
    """When it ended: RFC 3339, UTC, milliseconds."""
    credits: float
    """Credits charged, 0 or more: 0 unless it succeeded."""
    error: JobError
    """Why there is no result."""


class JobCanceled(_JobCanceled, total=False):
    """A video generation job, as its customer sees it, when its status is `canceled`."""

    started_at: str
    """When rendering began: RFC 3339, UTC, milliseconds."""
    metadata: dict[str, Any]
    """The customer's own object, as sent at creation."""


class JobCanceledEvent(TypedDict):
    """The job was canceled."""

    id: str
    """Identifier of the event."""
    type: Literal['job.canceled']
    created_at: str
    """When it happened: RFC 3339, UTC, milliseconds."""
    sequence: int
    """Counts the events of what `data` shows, from 1 without gaps."""
    data: JobCanceled


class JobError(TypedDict):
    """Why a job has no result."""

    code: str
    """`generation_failed`, `input_media_error`, `content_policy_violation`, `timeout` or `canceled`."""
    message: str
    """A sentence for the customer that says what to change."""


class _JobFailed(TypedDict):
    """What is always there."""

    id: str
    """Identifier: `job_` and a lower-case ULID."""
    status: Literal['failed']
    model: str
    """Public model name as requested, such as `seedance-2.0-pro`."""
    progress: int
    """How far it is, 0 to 100."""
    estimated_credits: float
    """Credits reserved: the most this job can cost."""
    created_at: str
    """When the job was accepted: RFC 3339, UTC, milliseconds."""
    completed_at: str
    """When it ended: RFC 3339, UTC, milliseconds."""
    credits: float
    """Credits charged, 0 or more: 0 unless it succeeded."""
    error: JobError
    """Why there is no result."""


class JobFailed(_JobFailed, total=False):
    """A video generation job, as its customer sees it, when its status is `failed`."""

    started_at: str
    """When rendering began: RFC 3339, UTC, milliseconds."""
    metadata: dict[str, Any]
    """The customer's own object, as sent at creation."""


class JobFailedEvent(TypedDict):
    """The job failed."""

    id: str
    """Identifier of the event."""
    type: Literal['job.failed']
    created_at: str
    """When it happened: RFC 3339, UTC, milliseconds."""
    sequence: int
    """Counts the events of what `data` shows, from 1 without gaps."""
    data: JobFailed


class _JobQueued(TypedDict):
    """What is always there."""

    id: str
    """Identifier: `job_` and a lower-case ULID."""
    status: Literal['queued']
    model: str
    """Public model name as requested, such as `seedance-2.0-pro`."""
    progress: int
    """How far it is, 0 to 100."""
    estimated_credits: float
    """Credits reserved: the most this job can cost."""
    created_at: str
    """When the job was accepted: RFC 3339, UTC, milliseconds."""


class JobQueued(_JobQueued, total=False):
    """A video generation job, as its customer sees it, when its status is `queued`."""

    metadata: dict[str, Any]
    """The customer's own object, as sent at creation."""


class JobQueuedEvent(TypedDict):
    """A provider has taken the job."""

    id: str
    """Identifier of the event."""
    type: Literal['job.queued']
    created_at: str
    """When it happened: RFC 3339, UTC, milliseconds."""
    sequence: int
    """Counts the events of what `data` shows, from 1 without gaps."""
    data: JobQueued


class _JobRunning(TypedDict):
    """What is always there."""

    id: str
    """Identifier: `job_` and a lower-case ULID."""
    status: Literal['running']
    model: str
    """Public model name as requested, such as `seedance-2.0-pro`."""
    progress: int
    """How far it is, 0 to 100."""
    estimated_credits: float
    """Credits reserved: the most this job can cost."""
    created_at: str
    """When the job was accepted: RFC 3339, UTC, milliseconds."""
    started_at: str
    """When rendering began: RFC 3339, UTC, milliseconds."""


class JobRunning(_JobRunning, total=False):
    """A video generation job, as its customer sees it, when its status is `running`."""

    metadata: dict[str, Any]
    """The customer's own object, as sent at creation."""


class JobRunningEvent(TypedDict):
    """The job is being rendered."""

    id: str
    """Identifier of the event."""
    type: Literal['job.running']
    created_at: str
    """When it happened: RFC 3339, UTC, milliseconds."""
    sequence: int
    """Counts the events of what `data` shows, from 1 without gaps."""
    data: JobRunning


class _JobSucceeded(TypedDict):
    """What is always there."""

    id: str
    """Identifier: `job_` and a lower-case ULID."""
    status: Literal['succeeded']
    model: str
    """Public model name as requested, such as `seedance-2.0-pro`."""
    progress: int
    """How far it is, 0 to 100."""
    estimated_credits: float
    """Credits reserved: the most this job can cost."""
    created_at: str
    """When the job was accepted: RFC 3339, UTC, milliseconds."""
    completed_at: str
    """When it ended: RFC 3339, UTC, milliseconds."""
    credits: float
    """Credits charged, 0 or more: 0 unless it succeeded."""
    video_url: str
    """Address of the MP4 file."""
    thumbnail_url: str
    """Address of a JPEG poster."""


class JobSucceeded(_JobSucceeded, total=False):
    """A video generation job, as its customer sees it, when its status is `succeeded`."""

    started_at: str
    """When rendering began: RFC 3339, UTC, milliseconds."""
    last_frame_url: str
    """Address of the last frame as JPEG."""
    metadata: dict[str, Any]
    """The customer's own object, as sent at creation."""


class JobSucceededEvent(TypedDict):
    """The video is ready."""

    id: str
    """Identifier of the event."""
    type: Literal['job.succeeded']
    created_at: str
    """When it happened: RFC 3339, UTC, milliseconds."""
    sequence: int
    """Counts the events of what `data` shows, from 1 without gaps."""
    data: JobSucceeded


class ListVideosQuery(TypedDict, total=False):
    """What listVideos can be asked for."""

    limit: int
    """Most jobs to return, 1 to 100."""
    offset: int
    """How many of the newest jobs to skip, 0 to 10,000."""


class WebhookTestEvent(TypedDict):
    """A test of an endpoint was requested."""

    id: str
    """Identifier of the event."""
    type: Literal['webhook.test']
    created_at: str
    """When it happened: RFC 3339, UTC, milliseconds."""
    sequence: int
    """Counts the events of what `data` shows, from 1 without gaps."""
    data: TestData


Job: TypeAlias = JobQueued | JobRunning | JobSucceeded | JobFailed | JobCanceled


WebhookEvent: TypeAlias = JobQueuedEvent | JobRunningEvent | JobSucceededEvent | JobFailedEvent | JobCanceledEvent | WebhookTestEvent | WebhookEndpointDisabledEvent
