"""Whoever watches a job does so only as long as the key works, and that costs nothing for each who watches."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

import pytest

from services.common.auth.authentication import CACHE_SECONDS, Caller, Credential, KeyCache
from services.common.auth.key_forms import KEY_PREFIXES, RANDOM_LENGTH, KeyForms
from services.common.errors import Reason, ServiceError
from services.jobs.watch.job_watch import JobWatch
from tests.unit.common.virtual_time import run_virtually
from tests.unit.jobs.test_subscriptions import WANTED, FakeStages

WATCHERS = 50
PROMISED_SECONDS = 5.0
KEY = KeyForms(["secret"]).complete(KEY_PREFIXES["seedancee2", "live"] + "a" * RANDOM_LENGTH)


@dataclass
class Billing:
    """Knows one key, until it does not, and counts how often it is asked."""

    works: bool = True
    is_away: bool = False
    asked: Counter[bytes] = field(default_factory=Counter)

    async def look_up(self, digest: bytes) -> Caller | None:
        self.asked[digest] += 1
        if self.is_away:
            raise ServiceError(Reason.UNAVAILABLE, "Away.")
        if not self.works:
            return None
        return Caller(key_id="key_1", account_id="acct_1", environment="live", contract="seedancee2")


@dataclass
class World:
    """A process in which callers with one key wait for a job that never ends."""

    billing: Billing
    watch: JobWatch
    waiting: "list[asyncio.Task[object]]"


async def _with_watchers(stack: AsyncExitStack) -> World:
    billing, watch = Billing(), JobWatch(FakeStages())
    time = asyncio.get_running_loop().time
    keys = KeyCache(billing.look_up, forms=KeyForms(["secret"]), monotonic=time)
    await stack.enter_async_context(watch.running())
    wanted = replace(WANTED, credential=Credential(KEY, keys.find))
    await keys.find(KEY)
    waiting: list[asyncio.Task[object]] = [
        asyncio.create_task(watch.until_ended(wanted, seconds=60)) for _ in range(WATCHERS)
    ]
    await asyncio.sleep(0)
    assert watch.subscription_count == WATCHERS
    return World(billing, watch, waiting)


@pytest.mark.parametrize("after_seconds", [0.0, 0.01, 1.9, 3.99, 4.01, 30.0])
def test_they_are_let_go_5_seconds_after_the_key_has_stopped_at_the_latest(after_seconds: float) -> None:
    async def main() -> list[object]:
        async with AsyncExitStack() as stack:
            world = await _with_watchers(stack)
            await asyncio.sleep(after_seconds)
            assert not any(task.done() for task in world.waiting)
            world.billing.works = False
            await asyncio.sleep(PROMISED_SECONDS)
            assert world.watch.subscription_count == 0
            return await asyncio.gather(*world.waiting, return_exceptions=True)

    for outcome in run_virtually(main()):
        assert isinstance(outcome, ServiceError)
        assert outcome.reason is Reason.KEY_INVALID


def test_a_key_is_asked_about_once_for_all_and_only_when_what_is_known_is_old() -> None:
    async def main() -> Billing:
        async with AsyncExitStack() as stack:
            world = await _with_watchers(stack)
            await asyncio.sleep(50)
            assert world.watch.subscription_count == WATCHERS
            for task in world.waiting:
                task.cancel()
            return world.billing

    billing = run_virtually(main())

    assert 10 <= billing.asked.total() <= 50 / CACHE_SECONDS + 1


def test_nobody_is_let_go_because_billing_is_away() -> None:
    async def main() -> int:
        async with AsyncExitStack() as stack:
            world = await _with_watchers(stack)
            world.billing.is_away = True
            await asyncio.sleep(50)
            watched = world.watch.subscription_count
            for task in world.waiting:
                task.cancel()
            return watched

    assert run_virtually(main()) == WATCHERS
