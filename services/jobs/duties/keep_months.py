"""Makes the months that jobs will lie in, and forgets those that are older than jobs are kept."""

import asyncio
import logging
from functools import partial

from psycopg.errors import LockNotAvailable

from services.common.loop import Duty
from services.common.telemetry.retention_metrics import RETENTION_BEHIND
from services.jobs.store.months import OldMonth, SqlMonths

log = logging.getLogger(__name__)

PREFIXES = ("job", "vid")
"""Of the ids of jobs: one for each contract."""
IDLE_SECONDS = 300.0
TRIES_MAX = 20
PAUSE_SECONDS = 0.2
_BEHIND = RETENTION_BEHIND.labels("jobs")


def keep_months(months: SqlMonths, *, kept_days: int) -> Duty:
    """Returns the duty. `kept_days` 0: no month is ever forgotten."""
    return Duty("months", partial(_keep, months, kept_days), idle_seconds=IDLE_SECONDS)


async def _keep(months: SqlMonths, kept_days: int) -> int:
    """Returns how many months were forgotten."""
    for prefix in PREFIXES:
        while (added := await months.add(prefix)) is not None:
            log.info("month=%s made", added)
    if not kept_days:
        return 0
    old = [month for prefix in PREFIXES for month in await _drop(months, prefix, kept_days)]
    held = [month for month in old if month.forgotten is None]
    _BEHIND.set(max((month.behind_seconds for month in held), default=0.0))
    for month in old:
        if month.forgotten is None:
            log.warning("jobs older than %d days stay: %s", kept_days, month.held_by)
        else:
            log.warning("month=%s forgotten, as jobs are kept for %d days", month.forgotten, kept_days)
    return len(old) - len(held)


async def _drop(months: SqlMonths, prefix: str, kept_days: int) -> list[OldMonth]:
    for _ in range(TRIES_MAX - 1):
        try:
            return await months.drop(prefix, kept_days=kept_days)
        except LockNotAvailable:
            await asyncio.sleep(PAUSE_SECONDS)
    return await months.drop(prefix, kept_days=kept_days)
