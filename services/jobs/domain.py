"""Jobs: values, states, prices and the rules that need nothing but them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum

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
    State.STORED: frozenset({State.FAILING}),
    State.FAILING: frozenset(),
}
"""Moves between states. From STORED a job completes, unless its hold is gone; from FAILING it fails."""
assert NEXT.keys() == set(State)

GIVEN_UP_BY_OPERATORS = frozenset({State.PENDING, State.SUBMITTING, State.PROCESSING})
"""From where an operator may fail a job. One in STORED is about to complete."""
assert all(State.FAILING in NEXT[state] for state in GIVEN_UP_BY_OPERATORS)


class FailureCode(StrEnum):
    """Why a job failed, as its customer sees it. The values are the contract's."""

    GENERATION_FAILED = "generation_failed"
    INPUT_MEDIA_ERROR = "input_media_error"
    CONTENT_POLICY_VIOLATION = "content_policy_violation"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"


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
    FailureCode.CANCELLED: "The job was cancelled at your request.",
}
assert FAILURE_MESSAGE.keys() == set(FailureCode)


@dataclass(frozen=True, kw_only=True)
class UnusableReference:
    """What is known of the file that a job failed for."""

    fields: tuple[str, ...]
    """Where it stands in the request, as its sender named it: one place, or all that it can be."""
    fault: str
    """A key of REFERENCE_MESSAGE."""


REFERENCE_MESSAGE = {
    "not_fetched": "could not be downloaded. Check that its address is public and answers with the file.",
    "not_readable": "could not be read. Check that it is a file of a supported format.",
    "out_of_bounds": "is outside of what the model takes. Check its size, shape and length.",
    "unknown": "could not be used. Check that its address is public and its format is supported.",
}
"""What is wrong with a reference, after the name of its field."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """A public model: what it can do, and on which contract."""

    id: str
    contract: str
    resolutions: tuple[str, ...]
    duration_seconds_min: int
    duration_seconds_max: int
    aspect_ratios: tuple[str, ...]
    capabilities: tuple[str, ...]


Catalogue = tuple[Model, ...]
"""The models there are, strongest first."""


@dataclass(frozen=True, kw_only=True)
class Price:
    """What one second costs from a moment on, in micro-credits, and the version of prices that says so."""

    version: str
    valid_from: datetime
    micros_per_second: int


@dataclass(frozen=True, kw_only=True)
class PriceList:
    """Prices of the present and the future, and those of the past that may still be needed."""

    prices: Mapping[tuple[str, str, str], Sequence[Price]]
    """By model, resolution and environment, oldest first."""

    def at(self, moment: datetime, *, model: str, resolution: str, environment: str) -> Price | None:
        """Returns the price that holds at a moment."""
        found = self.prices.get((model, resolution, environment), ())
        return next((price for price in reversed(found) if price.valid_from <= moment), None)


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A model as a buyer can have it at one moment."""

    model: Model
    prices: Mapping[str, Price]
    """By resolution, at least one. A resolution without a price is not on offer."""


@dataclass(frozen=True, kw_only=True)
class JobInput:
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


def without_content(wanted: JobInput) -> JobInput:
    """Returns what was to be rendered without what its customer said and referred to."""
    return replace(
        wanted,
        prompt="",
        image_urls=(),
        video_urls=(),
        audio_urls=(),
        start_image_url=None,
        end_image_url=None,
    )


class Kept(StrEnum):
    """What is kept of ended jobs for a time."""

    CONTENT = "content"
    """Prompts, references, metadata, addresses for callbacks, and attempts."""
    MEDIA = "media"


FieldName = Callable[[str], str]
"""Returns what the sender of a request calls a field of NewJob or JobInput."""


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """A request as parsed: which model, what to render, whom to tell."""

    model: str
    input: JobInput
    callback_url: str | None
    metadata_json: str | None
    """The customer's object as compact JSON."""
    field_name: FieldName = str
    """For refusals. By default a field is called as it is here."""
    moderation_profile: str | None = None
    """None: that of the account."""
    reference_fields: tuple[str, ...] = ()
    """Where each reference stands in the request, in the order that providers get them."""


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Whose jobs: an account in one environment, on one contract."""

    account_id: str
    environment: str
    contract: str


@dataclass(frozen=True, kw_only=True)
class Caps:
    """How many jobs may be at providers at once."""

    account_jobs: int
    """Of the account, in one environment."""
    key_jobs: int

    @property
    def unfinished_jobs(self) -> int:
        """How many of the account in one environment may be unfinished: at providers, or waiting for a place."""
        return UNFINISHED_PER_PLACE * self.account_jobs


UNFINISHED_PER_PLACE = 10
CAPS_DEFAULT = Caps(account_jobs=100, key_jobs=100)

CREATION_SECONDS_MAX = 300
"""A job is stored so soon after its creation began, or not at all."""
HOLD_REUSE_SECONDS_MAX = 360
"""A creation that is repeated goes on with a hold that is not older."""
ORPHAN_SECONDS = 900
"""A hold of that age without a job belongs to nobody, and is given back."""
assert CREATION_SECONDS_MAX < HOLD_REUSE_SECONDS_MAX, (
    "a hold is replaced only when its job can no longer come"
)
assert HOLD_REUSE_SECONDS_MAX + CREATION_SECONDS_MAX < ORPHAN_SECONDS, "clocks may differ by some minutes"


@dataclass(frozen=True, kw_only=True)
class Buyer:
    """Who asks: an owner, by one of its keys."""

    owner: Owner
    key_id: str
    models_allowed: tuple[str, ...]
    """What the key may use. Empty: every model."""
    caps: Caps = CAPS_DEFAULT
    moderation_profile: str = ""
    """What holds unless a request chooses another. Empty: that of the configuration."""
    moderation_profiles: tuple[str, ...] = ()
    """What a request may choose besides."""


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
    """By which it was created. Empty for jobs of before."""
    moderation_profile: str = ""
    """What the request was judged by. Empty for jobs of before."""
    started_at: datetime | None = None
    """When it was first seen to render."""
    ended_at: datetime | None = None
    charged_micros: int = 0
    refunded_micros: int = 0
    """What was reserved and not charged, once the job has ended."""
    returned_micros: int = 0
    """What an operator gave back later of what was charged."""
    output: Output | None = None
    failure: FailureCode | None = None
    reference_fields: tuple[str, ...] = ()
    """As in NewJob. Empty for jobs of before."""
    unusable: UnusableReference | None = None
    """For INPUT_MEDIA_ERROR, if it is known."""


ENDED = 3
"""The last stage."""


def stage(job: Job) -> int:
    """Returns how far a job is in its customer's eyes: 0 waits, 1 taken by a provider, 2 renders, 3 ended. It only grows."""
    if job.ended_at is not None:
        return ENDED
    if job.started_at is not None:
        return 2
    return int(job.status is not Status.PENDING)


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


class StrayEnd(StrEnum):
    """What became of a task that no job waits for."""

    STOPPED = "stopped"
    RENDERED = "rendered"
    """It could not be stopped: whoever bills for renders bills for this one."""
    FAILED = "failed"
    ABSENT = "absent"
    """The provider has no such task of that attempt."""
    UNKNOWN = "unknown"
    """Nobody could tell until it is surely over."""


@dataclass(frozen=True, kw_only=True)
class Stray:
    """A task at a provider that no job waits for, by the attempt that it was started for."""

    attempt_id: str
    environment: str
    route: str
    task_id: str
    is_overdue: bool
    """Whether it has been on record for longer than a task can last."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """An unfinished job and the right to move it, until another lease is taken."""

    job: Job
    state: State
    lease_no: int
    wake_no: int
    """How often callbacks had woken the job when it was claimed."""
    check_count: int
    admitted_seconds: float
    """Since a place at a provider was kept for the job, by the database clock."""
    attempt: Attempt | None
    attempt_age_seconds: float
    """Since the attempt was opened; 0 without one."""
    submit_until: float = 0
    """Until then whoever opened the attempt may ask its provider, by the clock of its event loop."""
    claim_count: int = 1
    """Claims since the job last got on, with this one."""
    stalled_seconds: float = 0
    """Since the first of them failed."""
    last_error: str | None = None
    """What the last of them failed with. None: nothing, or its worker died."""


@dataclass(frozen=True, kw_only=True)
class NewEvent:
    """What a customer is told about a change to a job, as its contract says it."""

    id: str
    type: str
    sequence: int
    """From 1 for each job, without gaps."""
    body: bytes
    occurred_at: datetime


@dataclass(frozen=True, kw_only=True)
class OutboxEvent:
    """Something that happened to a job, on its way to the customer."""

    event_id: str
    job_id: str
    owner: Owner
    type: str
    sequence: int
    target_url: str
    """Where to deliver besides the account's endpoints; empty when the job came without an address."""
    body: bytes
    occurred_at: datetime


@dataclass(frozen=True, kw_only=True)
class Route:
    """Which provider renders for a model in an environment, and what it calls the model."""

    name: str
    upstream_model: str


def in_credits(micros: int) -> str:
    """Writes an amount for people: whole credits as `50`, others as `12.5`."""
    whole, rest = divmod(micros, MICROS_PER_CREDIT)
    return f"{whole}.{rest:06d}".rstrip("0") if rest else str(whole)


class LeaseLostError(Exception):
    """Another worker has taken the job over. Nothing was changed; whoever gets this stops."""


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


PIXELS_BY_RESOLUTION = {"480p": 864 * 496, "720p": 1280 * 720, "1080p": 1920 * 1080}
PIXEL_TOLERANCE = 0.15


def is_right_size(resolution: str, *, width: int, height: int) -> bool:
    """Returns whether a picture has the pixels of its resolution, whatever its ratio.

    Providers keep the pixel count within a few percent over all ratios (ModelArk's table of output sizes).
    """
    wanted = PIXELS_BY_RESOLUTION[resolution]
    return abs(width * height - wanted) <= PIXEL_TOLERANCE * wanted
