"""A job from acceptance to its end, its progress and its charge."""

import math
from dataclasses import dataclass
from datetime import date, datetime

from services.jobs.domain.failures import FailureCode, UnusableReference
from services.jobs.domain.requests import JobInput, Owner
from services.jobs.domain.states import Status


@dataclass(frozen=True, kw_only=True)
class Output:
    """The stored result, by public addresses."""

    video_url: str
    thumbnail_url: str
    last_frame_url: str | None
    duration_seconds: float


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job from acceptance to its end. Amounts are micro-credits."""

    id: str
    owner: Owner
    status: Status
    model: str
    input: JobInput
    callback_url: str | None
    metadata_json: str | None
    price_version: str
    micros_per_second: int
    reserved_micros: int
    created_at: datetime
    key_id: str = ""
    """The key that created it. Empty for jobs created before migration 0003."""
    moderation_profile: str = ""
    """The profile that its prompt was judged by. Empty for jobs created before migration 0003."""
    started_at: datetime | None = None
    """When it was first seen to render."""
    ended_at: datetime | None = None
    charged_micros: int = 0
    refunded_micros: int = 0
    """What was reserved and not charged, once the job has ended."""
    returned_micros: int = 0
    """What an operator gave back later of what was charged."""
    output: Output | None = None
    is_media_deleted: bool = False
    """Whether its files are deleted, or will be in a moment."""
    failure: FailureCode | None = None
    reference_fields: tuple[str, ...] = ()
    """As in NewJob. Empty for jobs created before migration 0011."""
    unusable: UnusableReference | None = None
    """For INPUT_MEDIA_ERROR, if it is known."""
    traceparent: str | None = None
    """The span that created it, for everything that is done for it later. None: it is not traced."""
    names_seed: bool = False
    """Whether the seed is the customer's own. Not known of jobs created before migration 0020."""


ENDED = 3
"""The last stage."""


def stage(job: Job) -> int:
    """Returns how far a job is in its customer's eyes: 0 waits, 1 taken by a provider, 2 renders, 3 ended. It only grows."""
    if job.ended_at is not None:
        return ENDED
    if job.started_at is not None:
        return 2
    return int(job.status is not Status.PENDING)


PROGRESS_MAX = 95
"""Per cent, until there is a result."""
RENDER_SECONDS_TYPICAL = 60.0


def progress_percent(job: Job, *, now: datetime) -> int:
    """Returns how far a job is or came, 0 to 100, judged by the time since it began to render.

    At least 1 once it renders, 100 only with a result.
    """
    if job.status is Status.COMPLETED:
        return 100
    if job.started_at is None:
        return 0
    seconds = max(0.0, ((job.ended_at or now) - job.started_at).total_seconds())
    return 1 - int((PROGRESS_MAX - 1) * math.expm1(-seconds / RENDER_SECONDS_TYPICAL))


DURATION_TOLERANCE_SECONDS = 0.5


def charge_micros(job: Job, delivered_seconds: float) -> int:
    """Returns what to charge: what was delivered in whole seconds, never more than was reserved.

    A clip within DURATION_TOLERANCE_SECONDS of what was asked counts as whole.
    """
    if delivered_seconds >= job.input.duration_seconds - DURATION_TOLERANCE_SECONDS:
        return job.reserved_micros
    return min(job.reserved_micros, job.micros_per_second * int(delivered_seconds))


@dataclass(frozen=True, kw_only=True)
class UsageCount:
    """Jobs of one model created in one UTC day (or in a part of it), and their credits in micro-credits."""

    day: date
    model: str
    pending: int
    processing: int
    completed: int
    failed: int
    charged_micros: int
    """Gross: what was debited for finished jobs, what went back included."""
    refunded_micros: int
    """What went back: at the end of a job, or later by an operator."""
