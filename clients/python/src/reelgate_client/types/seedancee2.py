"""Seedancee2 API. Generated from the OpenAPI documents."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, TypedDict

from reelgate_client.types.account import TestData, WebhookEndpointDisabledEvent


class _CreateVideoRequest(TypedDict):
    """What is always there."""

    model: Literal['pro', 'fast', 'mini']
    """Public model name: `pro`, `fast` or `mini`."""
    input: VideoInput
    """Generation parameters."""


class CreateVideoRequest(_CreateVideoRequest, total=False):
    """What to generate, with which model, and where to send events."""

    callback_url: str
    """Where to POST when the task completes or fails: a public http(s) address of at most 2,048 characters."""
    metadata: dict[str, Any]
    """The customer's own object, returned in polls, lists and webhooks: at most 16 KiB of JSON, 2,000 values and 5 levels."""


class CreatedVideo(TypedDict):
    """The answer to an accepted creation."""

    id: str
    """Identifier: `vid_` and a lower-case ULID."""
    status: Literal['pending']
    """Always `pending`."""
    model: str
    """Public model name as requested."""
    credits_reserved: float
    """Credits reserved: the most this task can cost."""
    created_at: str
    """When the task was accepted: RFC 3339, UTC, milliseconds."""


class DayUsage(TypedDict):
    """Counts and credits of one UTC day's tasks."""

    date: str
    """The day: `YYYY-MM-DD`, UTC."""
    total_jobs: int
    """All tasks."""
    pending_jobs: int
    """Tasks not yet started."""
    processing_jobs: int
    """Tasks running."""
    completed_jobs: int
    """Tasks that completed."""
    failed_jobs: int
    """Tasks that failed."""
    credits_charged: float
    """Credits charged for finished tasks, including those that were refunded."""
    credits_refunded: float
    """Credits refunded after they were charged."""
    net_credits: float
    """`credits_charged` less `credits_refunded`."""


class DeletedVideo(TypedDict):
    """A task of which nothing is kept but what was paid for it."""

    id: str
    """Identifier of the task."""
    deleted: Literal[True]
    """Always true."""


class DurationRange(TypedDict):
    """An inclusive range of whole seconds."""

    min: int
    """Shortest output in seconds."""
    max: int
    """Longest output in seconds."""


class Error(TypedDict):
    """Why a request was refused."""

    error: dict[str, Any]


class GetUsageQuery(TypedDict, total=False):
    """What getUsage can be asked for."""

    start: str
    """First moment, ISO 8601 with a time zone."""
    end: str
    """Last moment, ISO 8601 with a time zone."""
    limit: int
    """Most timeline rows to return, the newest days that have tasks, 1 to 365."""


class GetVideoQuery(TypedDict, total=False):
    """What getVideo can be asked for."""

    wait: int
    """How many seconds to wait for the end of the task before answering, 0 to 60."""


class ListVideosQuery(TypedDict, total=False):
    """What listVideos can be asked for."""

    status: Literal['pending', 'processing', 'completed', 'failed']
    """Only tasks in this status: `pending`, `processing`, `completed` or `failed`."""
    limit: int
    """Most tasks to return, 1 to 100."""
    after: str
    """Return tasks older than the task with this identifier."""


class Model(TypedDict):
    """A public model, as lists show it."""

    id: str
    """Public name: `pro`, `fast` or `mini`."""
    status: str
    """Always `active`: inactive models are not shown."""
    resolutions: list[str]
    """Resolutions it can render, lowest first."""
    duration: DurationRange
    """Output durations it can render."""


class ModelDetail(TypedDict):
    """A public model with all its details."""

    id: str
    """Public name: `pro`, `fast` or `mini`."""
    status: str
    """Always `active`: inactive models are not shown."""
    resolutions: list[str]
    """Resolutions it can render, lowest first."""
    duration: DurationRange
    """Output durations it can render."""
    aspect_ratios: list[str]
    """Aspect ratios it can render, including `adaptive`."""
    capabilities: list[str]
    """What it can do beyond text: `image_reference`, `video_reference`, `audio_reference`, `first_and_last_frames`, `audio_generation`, `watermark`, `last_frame`."""
    credits_per_second: dict[str, float]
    """Price in credits for one second of output, by resolution."""


class ModelUsage(TypedDict):
    """Counts and credits of one model's tasks."""

    model: str
    """Public model name."""
    total_jobs: int
    """All tasks."""
    pending_jobs: int
    """Tasks not yet started."""
    processing_jobs: int
    """Tasks running."""
    completed_jobs: int
    """Tasks that completed."""
    failed_jobs: int
    """Tasks that failed."""
    credits_charged: float
    """Credits charged for finished tasks, including those that were refunded."""
    credits_refunded: float
    """Credits refunded after they were charged."""
    net_credits: float
    """`credits_charged` less `credits_refunded`."""


class Usage(TypedDict):
    """A summary of the tasks created in a range of time."""

    range: UsageRange
    """The range that was counted."""
    summary: UsageSummary
    """All tasks of the range."""
    by_model: list[ModelUsage]
    """The same by model, sorted by model name, without models that have no tasks."""
    timeline: list[DayUsage]
    """The same by UTC day, oldest first, without days that have no tasks."""


class UsageRange(TypedDict):
    """A range of creation times, both ends included."""

    start: str
    """First moment counted: RFC 3339, UTC, milliseconds."""
    end: str
    """Last moment counted: RFC 3339, UTC, milliseconds."""


class UsageSummary(TypedDict):
    """Counts and credits of a set of tasks."""

    total_jobs: int
    """All tasks."""
    pending_jobs: int
    """Tasks not yet started."""
    processing_jobs: int
    """Tasks running."""
    completed_jobs: int
    """Tasks that completed."""
    failed_jobs: int
    """Tasks that failed."""
    credits_charged: float
    """Credits charged for finished tasks, including those that were refunded."""
    credits_refunded: float
    """Credits refunded after they were charged."""
    net_credits: float
    """`credits_charged` less `credits_refunded`."""


class _VideoCompleted(TypedDict):
    """What is always there."""

    id: str
    """Identifier: `vid_` and a lower-case ULID."""
    status: Literal['completed']
    model: str
    """Public model name as requested: `pro`, `fast` or `mini`."""
    created_at: str
    """When the task was accepted: RFC 3339, UTC, milliseconds."""
    completed_at: str
    """When the task completed: RFC 3339, UTC, milliseconds."""
    credits_charged: float
    """Credits charged, 0 or more."""
    output: VideoOutput
    """The result."""


class VideoCompleted(_VideoCompleted, total=False):
    """A video generation task, as its customer sees it, when its status is `completed`."""

    metadata: dict[str, Any]
    """The customer's own object, as sent at creation."""


class VideoError(TypedDict):
    """Why a task failed."""

    code: str
    """`generation_failed`, `input_media_error`, `content_policy_violation`, `timeout` or `cancelled`."""
    message: str
    """A sentence for the customer that says what to change."""
    type: str
    """Always `generation_error`."""


class VideoEstimate(TypedDict):
    """What a task would cost."""

    model: str
    """Public model name as requested."""
    resolution: str
    """Resolution of the video."""
    duration: int
    """Length in seconds."""
    credits: float
    """Credits that a task would reserve: the most it could be charged."""
    available: float
    """Credits that can be spent now."""
    covered: bool
    """Whether the balance covers it."""


class _VideoFailed(TypedDict):
    """What is always there."""

    id: str
    """Identifier: `vid_` and a lower-case ULID."""
    status: Literal['failed']
    model: str
    """Public model name as requested: `pro`, `fast` or `mini`."""
    created_at: str
    """When the task was accepted: RFC 3339, UTC, milliseconds."""
    credits_charged: float
    """Credits charged, 0 or more."""
    credits_refunded: float
    """Credits returned, 0 or more."""
    error: VideoError
    """Why there is no result."""


class VideoFailed(_VideoFailed, total=False):
    """A video generation task, as its customer sees it, when its status is `failed`."""

    metadata: dict[str, Any]
    """The customer's own object, as sent at creation."""


class VideoGenerationCompletedEvent(TypedDict):
    """A video was completed."""

    data: VideoCompleted


class VideoGenerationFailedEvent(TypedDict):
    """A video failed."""

    data: VideoFailed


class _VideoInput(TypedDict):
    """What is always there."""

    prompt: str
    """Text prompt, 1 to 10,000 characters."""


class VideoInput(_VideoInput, total=False):
    """What to generate."""

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
    duration: int
    """Output duration in whole seconds, 4 to 15."""
    resolution: Literal['480p', '720p', '1080p']
    """`480p`, `720p` (default) or `1080p`; a model may support fewer."""
    aspect_ratio: Literal['16:9', '4:3', '1:1', '3:4', '9:16', '21:9', 'adaptive']
    """`16:9` (default), `4:3`, `1:1`, `3:4`, `9:16`, `21:9` or `adaptive`, which takes the ratio of the first reference image, or 16:9 without one."""
    generate_audio: bool
    """Whether to generate synchronised audio."""
    watermark: bool
    """Whether to mark the picture as generated."""
    seed: int
    """Seed for a repeatable result, 0 to 2147483647."""
    return_last_frame: bool
    """Whether the output includes the last frame as an image."""


class _VideoOutput(TypedDict):
    """What is always there."""

    video_url: str
    """Address of the MP4 file."""
    thumbnail_url: str
    """Address of a JPEG poster."""


class VideoOutput(_VideoOutput, total=False):
    """The files of a completed task, under the operator's own media address."""

    last_frame_url: str
    """Address of the last frame as JPEG."""


class _VideoPending(TypedDict):
    """What is always there."""

    id: str
    """Identifier: `vid_` and a lower-case ULID."""
    status: Literal['pending']
    model: str
    """Public model name as requested: `pro`, `fast` or `mini`."""
    created_at: str
    """When the task was accepted: RFC 3339, UTC, milliseconds."""


class VideoPending(_VideoPending, total=False):
    """A video generation task, as its customer sees it, when its status is `pending`."""

    metadata: dict[str, Any]
    """The customer's own object, as sent at creation."""


class _VideoProcessing(TypedDict):
    """What is always there."""

    id: str
    """Identifier: `vid_` and a lower-case ULID."""
    status: Literal['processing']
    model: str
    """Public model name as requested: `pro`, `fast` or `mini`."""
    created_at: str
    """When the task was accepted: RFC 3339, UTC, milliseconds."""


class VideoProcessing(_VideoProcessing, total=False):
    """A video generation task, as its customer sees it, when its status is `processing`."""

    metadata: dict[str, Any]
    """The customer's own object, as sent at creation."""


class WebhookTestEvent(TypedDict):
    """A test of an endpoint was requested."""

    data: TestData


Video: TypeAlias = VideoPending | VideoProcessing | VideoCompleted | VideoFailed


WebhookEvent: TypeAlias = VideoGenerationCompletedEvent | VideoGenerationFailedEvent | WebhookTestEvent | WebhookEndpointDisabledEvent
