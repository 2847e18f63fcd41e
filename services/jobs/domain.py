"""Jobs: values, states, prices and the rules that need nothing but them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from services.common.errors import Reason, ServiceError, invalid_field

MICROS_PER_CREDIT = 1_000_000


class Status(StrEnum):
    """Where a job is, as its customer sees it."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


class State(StrEnum):
    """The last durable fact about an unfinished job. The two ends of a job have no state: its work row is gone."""

    PENDING = "pending"
    """Paid for and stored; no provider has been asked."""
    SUBMITTING = "submitting"
    """An attempt is on record; its provider may or may not have been asked."""
    PROCESSING = "processing"
    """The provider has the task."""
    STORED = "stored"
    """The result lies under our own address; the credits are not yet taken."""
    FAILING = "failing"
    """There will be no result; the credits are not yet given back."""


NEXT: dict[State, frozenset[State]] = {
    State.PENDING: frozenset({State.SUBMITTING, State.FAILING}),
    State.SUBMITTING: frozenset({State.PENDING, State.PROCESSING, State.FAILING}),
    State.PROCESSING: frozenset({State.STORED, State.FAILING}),
    State.STORED: frozenset(),
    State.FAILING: frozenset(),
}
"""Moves between states. From STORED a job completes, from FAILING it fails."""
assert NEXT.keys() == set(State)


class FailureCode(StrEnum):
    """Why a job failed, as its customer sees it. The values are the contract's."""

    GENERATION_FAILED = "generation_failed"
    INPUT_MEDIA_ERROR = "input_media_error"
    CONTENT_POLICY_VIOLATION = "content_policy_violation"
    TIMEOUT = "timeout"


FAILURE_MESSAGE = {
    FailureCode.GENERATION_FAILED: (
        "The video could not be generated. Please try again with a different prompt."
    ),
    FailureCode.INPUT_MEDIA_ERROR: (
        "A reference file could not be used. Check that every address is public and its format is supported."
    ),
    FailureCode.CONTENT_POLICY_VIOLATION: (
        "The request or its result is against the content policy. Change the prompt or the reference files."
    ),
    FailureCode.TIMEOUT: "The video was not ready in time. Please try again.",
}
assert FAILURE_MESSAGE.keys() == set(FailureCode)


@dataclass(frozen=True, kw_only=True)
class Model:
    """A public model: what it can do and what a second of it costs."""

    id: str
    resolutions: tuple[str, ...]
    duration_seconds_min: int
    duration_seconds_max: int
    aspect_ratios: tuple[str, ...]
    capabilities: tuple[str, ...]
    micros_per_second: Mapping[str, int]
    """Price of one second, in micro-credits, by resolution."""


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """The models on offer, strongest first, and the version of their prices."""

    price_version: str
    models: Mapping[str, Model]

    def model(self, name: str) -> Model:
        """Returns the model of that name. Refuses with MODEL_NOT_FOUND."""
        found = self.models.get(name)
        if found is None:
            names = ", ".join(self.models)
            raise ServiceError(
                Reason.MODEL_NOT_FOUND,
                f'There is no model "{name[:64]}". Use one of: {names}.',
                model=name[:64],
            )
        return found


@dataclass(frozen=True, kw_only=True)
class VideoInput:
    """What to render, every default resolved."""

    prompt: str
    duration_seconds: int
    resolution: str
    aspect_ratio: str
    generate_audio: bool
    watermark: bool
    return_last_frame: bool
    seed: int
    image_urls: tuple[str, ...] = ()
    video_urls: tuple[str, ...] = ()
    audio_urls: tuple[str, ...] = ()
    start_image_url: str | None = None
    end_image_url: str | None = None


@dataclass(frozen=True, kw_only=True)
class NewVideo:
    """A request as parsed: which model, what to render, whom to tell."""

    model: str
    input: VideoInput
    callback_url: str | None
    metadata_json: str | None
    """The customer's object as compact JSON."""


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Whose jobs: an account in one environment, on one contract."""

    account_id: str
    environment: str
    contract: str


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
    input: VideoInput
    callback_url: str | None
    metadata_json: str | None
    price_version: str
    micros_per_second: int
    reserved_micros: int
    created_at: datetime
    ended_at: datetime | None = None
    charged_micros: int = 0
    refunded_micros: int = 0
    output: Output | None = None
    failure: FailureCode | None = None


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One try at one provider. `id` is the correlation id that the provider is given."""

    id: str
    job_id: str
    number: int
    route: str
    upstream_model: str
    token: str
    """Unguessable; the path of this attempt's callbacks."""
    lease_no: int
    """The lease under which the attempt was opened: only that lease may submit it."""
    opened_at: datetime
    task_id: str | None = None
    """The provider's name for the task, once known."""
    claimed_task_id: str | None = None
    """What a callback said the task's name is, before the provider's own answer was stored."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """An unfinished job and the right to move it, until another lease is taken."""

    job: Job
    state: State
    lease_no: int
    wake_no: int
    """How often callbacks had woken the job when it was claimed."""
    check_count: int
    job_age_seconds: float
    """Since the job was accepted, by the database clock."""
    attempt: Attempt | None
    attempt_age_seconds: float
    """Since the attempt was opened; 0 without one."""


@dataclass(frozen=True, kw_only=True)
class OutboxEvent:
    """Something that happened to a job, on its way to the customer."""

    event_id: str
    job_id: str
    owner: Owner
    type: str
    sequence: int
    target_url: str
    body: bytes
    occurred_at: datetime


@dataclass(frozen=True, kw_only=True)
class Route:
    """Which provider renders for a model in an environment, and what it calls the model."""

    name: str
    upstream_model: str


class LeaseLostError(Exception):
    """Another worker has taken the job over. Nothing was changed; whoever gets this stops."""


def price_micros(model: Model, wanted: VideoInput) -> tuple[int, int]:
    """Returns the price of one second and of the whole, in micro-credits. Refuses with INVALID_FIELD.

    Reference media cost nothing extra (the contract's formula: seconds x rate x outputs, one output).
    """
    rate = model.micros_per_second.get(wanted.resolution)
    if rate is None:
        raise invalid_field(
            "input.resolution",
            f"must be one of {', '.join(model.resolutions)} for model {model.id}",
            wanted.resolution,
        )
    if not model.duration_seconds_min <= wanted.duration_seconds <= model.duration_seconds_max:
        raise invalid_field(
            "input.duration",
            f"must be {model.duration_seconds_min} to {model.duration_seconds_max} for model {model.id}",
            wanted.duration_seconds,
        )
    return rate, rate * wanted.duration_seconds


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
    """Gross: what was debited for finished jobs, refunded ones included."""
    refunded_micros: int


PIXELS_BY_RESOLUTION = {"480p": 864 * 496, "720p": 1280 * 720, "1080p": 1920 * 1080}
PIXEL_TOLERANCE = 0.15


def is_right_size(resolution: str, *, width: int, height: int) -> bool:
    """Tells whether a picture has the pixels of its resolution, whatever its ratio.

    Providers keep the pixel count within a few percent over all ratios (ModelArk's table of output sizes).
    """
    wanted = PIXELS_BY_RESOLUTION[resolution]
    return abs(width * height - wanted) <= PIXEL_TOLERANCE * wanted
