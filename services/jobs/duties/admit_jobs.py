"""Admits waiting jobs to slots that are free, should the process that freed a slot have died before it admitted the next."""

from services.common.loop import Duty
from services.jobs.store.admission.waiting import SqlWaiting

IDLE_SECONDS = 1.0
"""At most this long a free slot stays unused while a job waits for it."""


def admit_jobs(waiting: SqlWaiting) -> Duty:
    """Returns the duty."""
    return Duty("admit", waiting.admit, idle_seconds=IDLE_SECONDS)
