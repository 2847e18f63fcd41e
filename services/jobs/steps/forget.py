"""Ended jobs of long ago: what customers said in them is forgotten, and their media are deleted.

What was paid stays: a job's row with its amounts, usage, refunds and what operators did.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from services.jobs.domain.job import Job
from services.jobs.ports import ResultUnavailableError
from services.jobs.store.retention import Kept, SqlRetention

log = logging.getLogger(__name__)

ACCOUNTS_MAX = 50
JOBS_OF_EACH_MAX = 10
"""In one batch, so that no account with a long history delays the others."""
PAGES_MAX = 20

DaysOf = Callable[[str], int]
"""Returns how many days things of an account are kept. 0: forever."""
Forget = Callable[[Sequence[Job]], Awaitable[int]]


class Forgetting:
    """Goes round the accounts, batch by batch, and forgets what is old of each."""

    def __init__(self, kind: Kept, *, retention: SqlRetention, days_of: DaysOf, forget: Forget) -> None:
        self._kind = kind
        self._retention = retention
        self._days_of = days_of
        self._forget = forget
        self._after = ""

    async def run_once(self) -> int:
        """Goes on until something was forgotten, or all accounts were asked. Returns of how many jobs."""
        for _ in range(PAGES_MAX):
            accounts = await self._retention.accounts(self._kind, after=self._after, limit=ACCOUNTS_MAX)
            self._after = accounts[-1] if len(accounts) == ACCOUNTS_MAX else ""
            days = {account: days for account in accounts if (days := self._days_of(account))}
            aged = await self._retention.aged(self._kind, days=days, each_max=JOBS_OF_EACH_MAX)
            if aged and (forgotten := await self._forget(aged)):
                return forgotten
            if not self._after:
                break
        return 0


async def forget_content(jobs: Sequence[Job], *, retention: SqlRetention) -> int:
    """Forgets what customers said in jobs. Should the batch fail, each is tried alone. Returns of how many jobs."""
    try:
        await retention.delete_content(jobs)
    except Exception as error:  # noqa: BLE001  whatever one job is about, it must not keep the others
        if len(jobs) == 1:
            log.warning("job=%s content not deleted: %s", jobs[0].id, type(error).__name__)
            return 0
        return sum([await forget_content([job], retention=retention) for job in jobs])
    return len(jobs)


async def forget_media(
    jobs: Sequence[Job], *, retention: SqlRetention, delete: Callable[[Job], Awaitable[None]]
) -> int:
    """Deletes the media of jobs, then notes it: whoever dies in between deletes again. Returns of how many jobs."""

    async def is_deleted(job: Job) -> bool:
        try:
            await delete(job)
        except ResultUnavailableError as error:
            log.warning("job=%s media not deleted: %s", job.id, error)
            return False
        return True

    deleted = await asyncio.gather(*map(is_deleted, jobs))
    gone = [job for job, is_gone in zip(jobs, deleted, strict=True) if is_gone]
    await retention.note_media_deleted(gone)
    return len(gone)
