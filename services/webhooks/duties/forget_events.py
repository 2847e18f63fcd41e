"""Deletes events that are older than their account keeps them, with their deliveries and attempts."""

from services.common.loop import Duty
from services.webhooks.store.retention import OldEvents

IDLE_SECONDS = 600.0


def forget_events(old_events: OldEvents) -> Duty:
    """Returns the duty."""
    return Duty("retention", old_events.forget, idle_seconds=IDLE_SECONDS)
