"""The credits of a job, as billing and as jobs keep them, and how long a hold waits for its job."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.jobs.domain.states import State, Status

CREATION_SECONDS_MAX = 300
"""A job is stored within this time after its creation began, or not at all."""
HOLD_REUSE_SECONDS_MAX = 360
"""A repeated creation reuses a hold that is not older than this."""
ORPHAN_SECONDS = 900
"""A hold of this age without a job is an orphan and is released."""
assert CREATION_SECONDS_MAX < HOLD_REUSE_SECONDS_MAX, (
    "a hold is replaced only when its job can no longer come"
)
assert HOLD_REUSE_SECONDS_MAX + CREATION_SECONDS_MAX < ORPHAN_SECONDS, "clocks may differ by some minutes"


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


class UsagePart(StrEnum):
    """A roll-up of usage that is checked by itself."""

    HOURS = "usage_hourly"
    DAYS = "usage_daily"
