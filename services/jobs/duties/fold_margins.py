"""Adds up what jobs brought in and what attempts cost."""

from services.common.loop import Duty
from services.jobs.store.margins import SqlMargins

IDLE_SECONDS = 10.0


def fold_margins(margins: SqlMargins) -> Duty:
    """Returns the duty."""
    return Duty("margins", margins.fold, idle_seconds=IDLE_SECONDS)
