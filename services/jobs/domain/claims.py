"""Unfinished jobs as a worker holds them: claims, attempts and routes."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.jobs.domain.job import Job
from services.jobs.domain.states import State


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
    is_claim_authentic: bool = False
    """Whether the provider surely said so. If not, whoever knows the token may have."""
    closed_at: datetime | None = None
    """When it was decided: if it succeeded, when its result was stored."""
    provider: str = ""
    credential: str = ""
    """Who pays. Empty in attempts of former releases, whose routes had the names of their credentials."""
    key_name: str = ""
    """With which key of the credential the task was ordered, and is followed until it ends."""
    quoted_micros: int = 0
    """What the render costs us, in millionths of a US dollar."""


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
    """Until then the worker that opened the attempt may ask its provider, by the clock of its event loop."""
    claim_count: int = 1
    """Claims since the job last got on, with this one."""
    stalled_seconds: float = 0
    """Since the first of them failed."""
    last_error: str | None = None
    """What the last of them failed with. None: nothing, or its worker died."""
    rendered_at: datetime | None = None
    """When the provider had the result. None: it had none yet, or another worker was told."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A route that may render a job, with the limits of its credential."""

    route: str
    provider: str
    upstream_model: str
    credential: str
    keys: tuple[str, ...]
    jobs_at_once: int | None
    requests_per_minute: int | None
    quoted_micros: int
    """What the job would cost us there, in millionths of a US dollar."""


class Fault(StrEnum):
    """What of a route failed."""

    ORDER = "order"
    """It did not take an order."""
    RENDER = "render"
    """It could not render a task that it had taken."""
    ROUTE = "route"
    """It is not there, or closed to us."""


@dataclass(frozen=True, kw_only=True)
class Blame:
    """What an attempt that came to nothing says about its route and its credential."""

    fault: Fault | None = None
    """None: the route is not at fault."""
    failure_class: str | None = None
    """What operators call it. None: as the outcome of the attempt."""
    takes_out: bool = False
    """Whether the key of the credential is of no use any more."""
    pause_seconds: float = 0.0
    """For how long the provider asks to be left alone."""


NO_BLAME = Blame()


class NoRoomError(Exception):
    """No route has room for a job now. It was released, and is due again when one has."""


class LeaseLostError(Exception):
    """Another worker has taken the job over. Nothing was changed, and the worker that gets this stops."""
