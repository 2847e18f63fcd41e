"""Removes listeners that have ended, with what they were told."""

from services.common.loop import Duty
from services.webhooks.store.listeners import EndedListeners

IDLE_SECONDS = 60.0


def forget_listeners(ended: EndedListeners) -> Duty:
    """Returns the duty."""
    return Duty("listeners", ended.forget, idle_seconds=IDLE_SECONDS)
