"""Whoever waits for a job in this process: many callers, one reader."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from grpc.aio import ServicerContext

from services.common.auth.authentication import Credential, key_refused
from services.common.errors import Reason, ServiceError
from services.common.loop import repeat, running
from services.jobs.domain import ENDED, Job, stage
from services.jobs.ports import Stages

WATCHERS_MAX = 4_000
BATCH_MAX = 1_000
"""Jobs that are read at once."""
NEWS_SECONDS = 10.0
BACKSTOP_SECONDS = 1.0
"""How late at the most a watcher sees what nobody told this process."""
KEY_SECONDS = 0.5
"""How often the keys of all who watch are checked. What is known of a key is itself up to 4 seconds old."""
KEYS_AT_ONCE = 100
RETRY_SECONDS = "2"
UNSEEN = -1
ANSWER_SECONDS = 0.5
"""What a call needs to answer in before its deadline."""

Group = TypeVar("Group")


@dataclass(frozen=True, kw_only=True)
class Sought:
    """A job that a caller wants to follow."""

    job_id: str
    account_id: str
    """Whose caller."""
    credential: Credential
    """What the caller was let in with."""
    read: Callable[[], Awaitable[Job]]
    """Returns the job as it is, or raises why the caller cannot have it."""


def seconds_to_wait(wanted: float, context: ServicerContext[Any, Any]) -> float:
    """Returns how long a call may wait that wants to wait so long: it must answer before its own deadline."""
    left: Any = context.time_remaining()
    return wanted if left is None else min(wanted, left - ANSWER_SECONDS)


class Watcher:
    """One caller's view of one job."""

    __slots__ = ("_changed", "_job", "is_released", "is_revoked")

    def __init__(self) -> None:
        self.is_released = False
        """Whether the process stops, and nothing more will be seen."""
        self.is_revoked = False
        """Whether the caller's key has stopped working, and nothing more may be seen."""
        self._job: Job | None = None
        self._changed = asyncio.Event()

    @property
    def job(self) -> Job:
        """The job as it was last seen."""
        assert self._job is not None, "a watcher is handed out once it has seen its job"
        return self._job

    @property
    def stage(self) -> int:
        """The stage of what was last seen; UNSEEN before."""
        return UNSEEN if self._job is None else stage(self._job)

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left to wait for."""
        return self.is_released or self.stage == ENDED

    def show(self, job: Job) -> None:
        """Makes a job known, unless something newer is."""
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
        """Returns when there is something new to see or no more will be, or after so many seconds.

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


class JobWatch:
    """Keeps everybody who waits for a job, and wakes them when it moves.

    A watcher costs one read of its job at its start. After that this process reads for all of them together: the
    jobs that it is told have moved, and every BACKSTOP_SECONDS those that have moved although nobody said so.
    An account may have as many watchers as would still find room: one alone takes half of all places, and however
    many accounts take what they can, the next one finds some.
    """

    def __init__(self, stages: Stages, *, watchers_max: int = WATCHERS_MAX) -> None:
        self._stages = stages
        self._watchers_max = watchers_max
        self._watchers: dict[str, set[Watcher]] = {}
        self._let_in: dict[Credential, set[Watcher]] = {}
        self._counts = Counter[str]()
        """By account."""
        self._news: set[str] = set()
        self._heard = asyncio.Event()
        self._is_open = True

    @property
    def watched(self) -> int:
        """How many watch at the moment."""
        return self._counts.total()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Reads until the block ends."""
        news = repeat(self.read_news, name="news", idle_seconds=NEWS_SECONDS, wake=self._heard)
        backstop = repeat(self.read_moved, name="watch", idle_seconds=BACKSTOP_SECONDS)
        keys = repeat(self.check_keys, name="keys", idle_seconds=KEY_SECONDS)
        async with running(news), running(backstop), running(keys):
            yield

    @asynccontextmanager
    async def watching(self, sought: Sought) -> AsyncIterator[Watcher]:
        """Yields a watcher that has seen its job. Raises what reading it raises.

        Refuses with UNAVAILABLE when as many watch as may, of the account or in all.
        """
        if self._is_full_for(sought.account_id):
            raise ServiceError(
                Reason.UNAVAILABLE,
                "Too many tasks are being watched at the moment. Poll, or try again.",
                retry_after_seconds=RETRY_SECONDS,
            )
        watcher = Watcher()
        # From before the first read on, so that no move falls between the two.
        self._add(sought, watcher)
        try:
            watcher.show(await sought.read())
            yield watcher
        finally:
            self._remove(sought, watcher)

    async def until_ended(self, sought: Sought, *, seconds: float) -> Job:
        """Returns a job as soon as it has ended, or as it is after so many seconds; at once when too many watch."""
        if seconds <= 0 or self._is_full_for(sought.account_id):
            return await sought.read()
        clock = asyncio.get_running_loop().time
        deadline = clock() + seconds
        async with self.watching(sought) as watcher:
            while not watcher.is_done and (left := deadline - clock()) > 0:
                await watcher.changed(left)
            return watcher.job

    def receive(self, job_ids: Collection[str]) -> None:
        """Takes note of jobs that may have moved."""
        news = self._watchers.keys() & job_ids
        if news:
            self._news |= news
            self._heard.set()

    async def read_news(self) -> int:
        """Shows watchers the jobs that were heard of. Returns how many of them."""
        batch = [self._news.pop() for _ in range(min(len(self._news), BATCH_MAX))]
        await self._show_moved(batch)
        return len(batch)

    async def read_moved(self) -> int:
        """Shows watchers whatever has moved. There is always an end to it: returns 0."""
        watched = list(self._watchers)
        for start in range(0, len(watched), BATCH_MAX):
            await self._show_moved(watched[start : start + BATCH_MAX])
        return 0

    async def check_keys(self) -> int:
        """Ends the watching of those whose key has stopped working. There is always an end to it: returns 0."""
        credentials = list(self._let_in)
        for start in range(0, len(credentials), KEYS_AT_ONCE):
            await asyncio.gather(*map(self._check_key, credentials[start : start + KEYS_AT_ONCE]))
        return 0

    async def _check_key(self, credential: Credential) -> None:
        if not await credential.works():
            for watcher in self._let_in.get(credential, ()):
                watcher.revoke()

    def release(self) -> None:
        """Lets everybody go on who watches, now and from now on: the process stops."""
        self._is_open = False
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.release()

    async def _show_moved(self, job_ids: Iterable[str]) -> None:
        known = self._known(job_ids)
        if known:
            for job in await self._stages.moved(known):
                for watcher in self._watchers.get(job.id, ()):
                    watcher.show(job)

    def _known(self, job_ids: Iterable[str]) -> Mapping[str, int]:
        """Returns the lowest stage that a watcher of each job has seen; of jobs that nobody watches any more, none."""
        return {
            job_id: min(watcher.stage for watcher in self._watchers[job_id])
            for job_id in job_ids
            if job_id in self._watchers
        }

    def _is_full_for(self, account_id: str) -> bool:
        return self._counts[account_id] >= self._watchers_max - self.watched

    def _add(self, sought: Sought, watcher: Watcher) -> None:
        self._watchers.setdefault(sought.job_id, set()).add(watcher)
        self._let_in.setdefault(sought.credential, set()).add(watcher)
        self._counts[sought.account_id] += 1
        if not self._is_open:
            watcher.release()

    def _remove(self, sought: Sought, watcher: Watcher) -> None:
        _discard(self._watchers, sought.job_id, watcher)
        _discard(self._let_in, sought.credential, watcher)
        if sought.job_id not in self._watchers:
            self._news.discard(sought.job_id)
        self._counts[sought.account_id] -= 1
        if not self._counts[sought.account_id]:
            del self._counts[sought.account_id]


def _discard(watchers: dict[Group, set[Watcher]], group: Group, watcher: Watcher) -> None:
    """Takes a watcher out of its group, and the group away with the last one."""
    watchers[group].remove(watcher)
    if not watchers[group]:
        del watchers[group]
