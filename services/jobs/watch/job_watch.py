"""All subscriptions of this process: many callers, one reader."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

from services.common.auth.authentication import Credential
from services.common.loop import repeat, running
from services.jobs.domain.job import Job
from services.jobs.ports import Stages
from services.jobs.refusals import too_many_watched
from services.jobs.watch.subscription import Subscription, WatchRequest

SUBSCRIPTIONS_MAX = 4_000
BATCH_MAX = 1_000
"""Jobs that are read at once."""
PUBLISHED_SECONDS = 10.0
BACKSTOP_SECONDS = 1.0
"""How late at the most a subscription sees a move that was not published to this process."""
KEY_SECONDS = 0.5
"""How often the keys of all subscriptions are checked. What is known of a key is itself up to 4 seconds old."""
KEYS_AT_ONCE = 100

Group = TypeVar("Group")


class JobWatch:
    """Keeps the subscriptions of this process and shows them their jobs when they move.

    A subscription costs one read of its job at its start. After that this process reads for all of them together: the
    jobs that workers publish as moved, and every BACKSTOP_SECONDS those that moved without being published.
    An account may have as many subscriptions as are still free: one account alone takes half of them, and however
    many accounts take what they can, the next one finds some.
    """

    def __init__(self, stages: Stages, *, subscriptions_max: int = SUBSCRIPTIONS_MAX) -> None:
        self._stages = stages
        self._subscriptions_max = subscriptions_max
        self._by_job: dict[str, set[Subscription]] = {}
        self._by_credential: dict[Credential, set[Subscription]] = {}
        self._by_account = Counter[str]()
        self._published: set[str] = set()
        self._has_published = asyncio.Event()
        self._is_open = True

    @property
    def subscription_count(self) -> int:
        """How many subscriptions there are at the moment."""
        return self._by_account.total()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Reads until the block ends."""
        published = repeat(
            self.read_published, name="published", idle_seconds=PUBLISHED_SECONDS, wake=self._has_published
        )
        backstop = repeat(self.read_moved, name="watch", idle_seconds=BACKSTOP_SECONDS)
        keys = repeat(self.check_keys, name="keys", idle_seconds=KEY_SECONDS)
        async with running(published), running(backstop), running(keys):
            yield

    @asynccontextmanager
    async def subscribe(self, wanted: WatchRequest) -> AsyncIterator[Subscription]:
        """Yields a subscription that has seen its job. Raises what reading the job raises.

        Refuses with UNAVAILABLE when the account, or all accounts together, have as many as they may.
        """
        if self._is_full_for(wanted.account_id):
            raise too_many_watched()
        subscription = Subscription()
        # Added before the first read, so that no move falls between the two.
        self._add(wanted, subscription)
        try:
            subscription.show(await wanted.read())
            yield subscription
        finally:
            self._remove(wanted, subscription)

    async def until_ended(self, wanted: WatchRequest, *, seconds: float) -> Job:
        """Returns a job as soon as it has ended, or as it is after `seconds`; at once when there are too many subscriptions."""
        if seconds <= 0 or self._is_full_for(wanted.account_id):
            return await wanted.read()
        clock = asyncio.get_running_loop().time
        deadline = clock() + seconds
        async with self.subscribe(wanted) as subscription:
            while not subscription.is_done and (left := deadline - clock()) > 0:
                await subscription.changed(left)
            return subscription.job

    def receive(self, job_ids: Collection[str]) -> None:
        """Takes note of jobs that were published as moved."""
        published = self._by_job.keys() & job_ids
        if published:
            self._published |= published
            self._has_published.set()

    async def read_published(self) -> int:
        """Shows subscriptions the jobs that were published. Returns the number of these jobs."""
        batch = [self._published.pop() for _ in range(min(len(self._published), BATCH_MAX))]
        await self._show_moved(batch)
        return len(batch)

    async def read_moved(self) -> int:
        """Shows all subscriptions what has moved. Returns 0: one round is enough."""
        watched = list(self._by_job)
        for start in range(0, len(watched), BATCH_MAX):
            await self._show_moved(watched[start : start + BATCH_MAX])
        return 0

    async def check_keys(self) -> int:
        """Revokes subscriptions whose key has stopped working. Returns 0: one round is enough."""
        credentials = list(self._by_credential)
        for start in range(0, len(credentials), KEYS_AT_ONCE):
            await asyncio.gather(*map(self._check_key, credentials[start : start + KEYS_AT_ONCE]))
        return 0

    async def _check_key(self, credential: Credential) -> None:
        if not await credential.works():
            for subscription in self._by_credential.get(credential, ()):
                subscription.revoke()

    def release(self) -> None:
        """Releases all subscriptions, those of now and those to come: the process stops."""
        self._is_open = False
        for subscriptions in self._by_job.values():
            for subscription in subscriptions:
                subscription.release()

    async def _show_moved(self, job_ids: Iterable[str]) -> None:
        known = self._known(job_ids)
        if known:
            for job in await self._stages.moved(known):
                for subscription in self._by_job.get(job.id, ()):
                    subscription.show(job)

    def _known(self, job_ids: Iterable[str]) -> Mapping[str, int]:
        """Returns, for each job that still has a subscription, the lowest stage that one of them has seen."""
        return {
            job_id: min(subscription.stage for subscription in self._by_job[job_id])
            for job_id in job_ids
            if job_id in self._by_job
        }

    def _is_full_for(self, account_id: str) -> bool:
        return self._by_account[account_id] >= self._subscriptions_max - self.subscription_count

    def _add(self, wanted: WatchRequest, subscription: Subscription) -> None:
        self._by_job.setdefault(wanted.job_id, set()).add(subscription)
        self._by_credential.setdefault(wanted.credential, set()).add(subscription)
        self._by_account[wanted.account_id] += 1
        if not self._is_open:
            subscription.release()

    def _remove(self, wanted: WatchRequest, subscription: Subscription) -> None:
        _discard(self._by_job, wanted.job_id, subscription)
        _discard(self._by_credential, wanted.credential, subscription)
        if wanted.job_id not in self._by_job:
            self._published.discard(wanted.job_id)
        self._by_account[wanted.account_id] -= 1
        if not self._by_account[wanted.account_id]:
            del self._by_account[wanted.account_id]


def _discard(groups: dict[Group, set[Subscription]], group: Group, subscription: Subscription) -> None:
    """Removes a subscription from its group, and the group once it is empty."""
    groups[group].remove(subscription)
    if not groups[group]:
        del groups[group]
