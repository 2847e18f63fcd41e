"""Returns the credits of holds that were not resolved in time."""

from functools import partial

from services.billing.store.holds import SqlHolds
from services.common.loop import Duty

HOLDS_PER_RUN_MAX = 100
IDLE_SECONDS = 5.0


def expire_holds(holds: SqlHolds) -> Duty:
    """Returns the duty that expires overdue holds."""
    return Duty("expire_holds", partial(holds.expire, holds_max=HOLDS_PER_RUN_MAX), idle_seconds=IDLE_SECONDS)
