"""What operators see and change, and what is checked: values that no customer is shown."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.common.audit.note import AuditNote
from services.common.errors import Reason
from services.jobs.domain import State, Status


@dataclass(frozen=True, kw_only=True)
class UnfinishedJob:
    """A job that has not ended, as operators see it."""

    job_id: str
    account_id: str
    environment: str
    model: str
    state: State
    age_seconds: int
    """In its state, by the database clock."""
    created_at: datetime
    due_at: datetime | None
    """None: the job waits for a place at a provider."""
    check_count: int
    route: str | None
    """Of the last attempt."""
    task_id: str | None
    claim_count: int
    """In a row, without getting on."""
    stalled_seconds: int | None
    """Since the first of them failed."""
    last_error: str | None


@dataclass(frozen=True, kw_only=True)
class RefusedEvent:
    """An event that the webhooks service refused, as operators see it."""

    event_id: str
    job_id: str
    account_id: str
    environment: str
    type: str
    occurred_at: datetime
    due_at: datetime
    """When it is offered again."""
    refusal: str


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where a job is, for an operator who wanted to change it."""

    status: Status
    state: State | None
    """None: it has ended."""
    failed_by_operator: bool


@dataclass(frozen=True, kw_only=True)
class WantedRefund:
    """Credits that an operator wants to give back for a completed job."""

    refund_id: str
    job_id: str
    amount_micros: int | None
    """None: all that was charged and not yet given back."""
    note: AuditNote


@dataclass(frozen=True, kw_only=True)
class Refund:
    """Credits that are going back, or have gone."""

    refund_id: str
    job_id: str
    amount_micros: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class RefundRefusal:
    """Why nothing is given back, and what still could be."""

    reason: Reason
    left_micros: int = 0


class HoldState(StrEnum):
    """Where a hold is in its life, as billing says."""

    PROVISIONAL = "provisional"
    CONFIRMED = "confirmed"
    CAPTURED = "captured"
    RELEASED = "released"
    EXPIRED = "expired"


UNRESOLVED = frozenset({HoldState.PROVISIONAL, HoldState.CONFIRMED})
"""The credits are set aside."""


@dataclass(frozen=True, kw_only=True)
class Hold:
    """Credits set aside for a job, as billing says."""

    hold_id: str
    account_id: str
    environment: str
    amount_micros: int
    captured_micros: int
    refunded_micros: int
    state: HoldState
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class JobRecord:
    """What is written down about a job's money, at one moment."""

    job_id: str
    account_id: str
    environment: str
    status: Status
    state: State | None
    """None: it has no work row."""
    key_id: str
    contract: str
    reserved_micros: int
    charged_micros: int
    refunded_micros: int
    returned_micros: int
    refunds_applied_micros: int
    refunds_waiting_micros: int
    """On record; billing may have made them already."""
    is_counted: bool
    """Whether its hour has a roll-up of usage."""


SETTLE_ACTION = "job.settle"
RECONCILE_ACTION = "job.reconcile"
"""How audit entries call what is put right about one job, and about all."""


class UsagePart(StrEnum):
    """A roll-up of usage that is checked by itself."""

    HOURS = "usage_hourly"
    DAYS = "usage_daily"
