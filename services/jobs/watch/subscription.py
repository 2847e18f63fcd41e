"""One caller who follows one job."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from services.common.auth.authentication import Credential, key_refused
from services.jobs.domain.job import ENDED, Job, stage

UNSEEN = -1


@dataclass(frozen=True, kw_only=True)
class WatchRequest:
    """Which job a caller wants to follow, and on whose behalf."""

    job_id: str
    account_id: str
    credential: Credential
    """What authenticated the caller."""
    read: Callable[[], Awaitable[Job]]
    """Returns the job as it is, or raises why the caller cannot have it."""


class Subscription:
    """One caller's view of one job."""

    __slots__ = ("_changed", "_job", "is_released", "is_revoked")

    def __init__(self) -> None:
        self.is_released = False
        """Whether the process stops: nothing more will be seen."""
        self.is_revoked = False
        """Whether the caller's key has stopped working: nothing more may be seen."""
        self._job: Job | None = None
        self._changed = asyncio.Event()

    @property
    def job(self) -> Job:
        """The job as it was last seen."""
        assert self._job is not None, "a subscription is handed out once it has seen its job"
        return self._job

    @property
    def stage(self) -> int:
        """The stage of the job as it was last seen; UNSEEN before."""
        return UNSEEN if self._job is None else stage(self._job)

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left to wait for."""
        return self.is_released or self.stage == ENDED

    def show(self, job: Job) -> None:
        """Shows the caller a job, unless it has seen a newer state of it."""
        if stage(job) > self.stage:
            self._job = job
            self._changed.set()

    def release(self) -> None:
        """Makes the caller go on."""
        self.is_released = True
        self._changed.set()

    def revoke(self) -> None:
        """Makes the caller stop."""
        self.is_revoked = True
        self._changed.set()

    async def changed(self, seconds: float) -> None:
        """Returns when there is something new to see, when nothing more will come, or after `seconds`.

        Refuses with KEY_INVALID once the caller's key has stopped working.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return
        self._changed.clear()
        if self.is_revoked:
            raise key_refused()
