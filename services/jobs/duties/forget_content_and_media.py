"""Deletes old content and old media of ended jobs: what customers wrote, and the files.

The records of payment stay: a job's row with its amounts, usage, refunds and the audit.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import date
from functools import partial

from services.common.loop import Duty
from services.jobs.domain.job import Job
from services.jobs.domain.retention import OwnDays
from services.jobs.ports import ResultUnavailableError
from services.jobs.store.kept_days import SqlKeptDays
from services.jobs.store.retention import Kept, SqlRetention

log = logging.getLogger(__name__)

ACCOUNTS_MAX = 50
JOBS_OF_EACH_MAX = 10
"""In one batch, so that no account with a long history delays the others."""
PAGES_MAX = 20
IDLE_SECONDS = 60.0

DaysOf = Callable[[str, int | None], int]
"""Returns how many days an account's content, or media, is kept, where an operator chose some for it or not. 0: forever."""
DeleteMedia = Callable[[str, date], Awaitable[None]]
"""Deletes the files of a job by its id and the day of its creation. Raises ResultUnavailableError."""
Forget = Callable[[Sequence[Job]], Awaitable[int]]


def forget_content(retention: SqlRetention, *, own: SqlKeptDays, days_of: DaysOf) -> Duty:
    """Returns the duty that deletes what customers wrote."""
    return _duty(
        Kept.CONTENT, retention, own=own, days_of=days_of, forget=partial(_forget_content, retention)
    )


def forget_media(retention: SqlRetention, *, own: SqlKeptDays, days_of: DaysOf, delete: DeleteMedia) -> Duty:
    """Returns the duty that deletes files."""
    return _duty(
        Kept.MEDIA, retention, own=own, days_of=days_of, forget=partial(_forget_media, retention, delete)
    )


def _duty(kind: Kept, retention: SqlRetention, *, own: SqlKeptDays, days_of: DaysOf, forget: Forget) -> Duty:
    forgetting = _Forgetting(kind, retention=retention, own=own, days_of=days_of, forget=forget)
    return Duty(f"forget_{kind.value}", forgetting.run_once, idle_seconds=IDLE_SECONDS)


class _Forgetting:
    """Reads the accounts in batches, in an endless loop, and forgets what is old of each."""

    def __init__(
        self, kind: Kept, *, retention: SqlRetention, own: SqlKeptDays, days_of: DaysOf, forget: Forget
    ) -> None:
        self._kind = kind
        self._retention = retention
        self._own = own
        self._days_of = days_of
        self._forget = forget
        self._after = ""

    async def run_once(self) -> int:
        """Reads on until something was forgotten, or the accounts are exhausted. Returns the number of jobs."""
        for _ in range(PAGES_MAX):
            accounts = await self._retention.accounts(self._kind, after=self._after, limit=ACCOUNTS_MAX)
            self._after = accounts[-1] if len(accounts) == ACCOUNTS_MAX else ""
            days = await self._days(accounts)
            aged = await self._retention.aged(self._kind, days=days, each_max=JOBS_OF_EACH_MAX)
            if aged and (forgotten := await self._forget(aged)):
                return forgotten
            if not self._after:
                break
        return 0

    async def _days(self, accounts: Sequence[str]) -> dict[str, int]:
        """Returns the days of those accounts whose things are not kept forever."""
        chosen = await self._own.of(accounts)
        name = f"{self._kind.value}_days"
        found = {
            account: self._days_of(account, getattr(chosen.get(account, OwnDays()), name))
            for account in accounts
        }
        return {account: days for account, days in found.items() if days}


async def _forget_content(retention: SqlRetention, jobs: Sequence[Job]) -> int:
    try:
        await retention.delete_content(jobs)
    except Exception as error:  # noqa: BLE001  one job that fails must not hold up the others
        if len(jobs) == 1:
            log.warning("job=%s content not deleted: %s", jobs[0].id, type(error).__name__)
            return 0
        return sum([await _forget_content(retention, [job]) for job in jobs])
    return len(jobs)


async def _forget_media(retention: SqlRetention, delete: DeleteMedia, jobs: Sequence[Job]) -> int:
    async def is_deleted(job: Job) -> bool:
        try:
            await delete(job.id, job.created_at.date())
        except ResultUnavailableError as error:
            log.warning("job=%s media not deleted: %s", job.id, error)
            return False
        return True

    # Deleted first, recorded second: after a crash in between they are deleted again.
    deleted = await asyncio.gather(*map(is_deleted, jobs))
    gone = [job for job, is_gone in zip(jobs, deleted, strict=True) if is_gone]
    await retention.note_media_deleted(gone)
    return len(gone)
