"""Unfinished jobs as a worker holds them: claims, attempts and routes."""

from dataclasses import dataclass
from datetime import datetime

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
class Route:
    """Which provider renders for a model in an environment, and what it calls the model."""

    name: str
    upstream_model: str


class LeaseLostError(Exception):
    """Another worker has taken the job over. Nothing was changed, and the worker that gets this stops."""
