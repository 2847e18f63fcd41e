"""Billing's one background duty: what was set aside and never resolved goes back."""

from functools import partial

from services.billing.ports import Holds
from services.common.loop import repeat

HOLDS_PER_SWEEP_MAX = 100
SWEEP_IDLE_SECONDS = 5.0


async def run_once(*, holds: Holds) -> int:
    """Expires a batch of overdue holds. Returns how many."""
    return await holds.expire(holds_max=HOLDS_PER_SWEEP_MAX)


async def sweep_expired(*, holds: Holds) -> None:
    """Expires overdue holds until cancelled."""
    await repeat(partial(run_once, holds=holds), name="expire_holds", idle_seconds=SWEEP_IDLE_SECONDS)
