"""Moves of many jobs lock rows in the one order too, in whatever order they come."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from services.common.clock import utc_now
from services.common.postgres.database import open_pool
from services.jobs.domain.claims import Claim
from services.jobs.domain.failures import FailureCode
from services.jobs.domain.states import Status
from services.jobs.store import lock_order
from tests.conftest import MakeDatabase
from tests.integration.jobs.test_lock_order import IN_NOBODYS_WAY, LEASE_SECONDS, Driven
from tests.integration.jobs.test_work_store import OUTPUT, ROUTE
from tests.integration.jobs.world import said
from tests.integration.lock_log import lock_log

NUMBERS = (1, 2, 3, 4)
BACKWARDS = slice(None, None, -1)


@pytest.fixture
async def driven(make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Driven]:
    url = make_database("jobs")
    async with lock_log(url, monkeypatch) as log, open_pool(url, name="test", connections_max=4) as pool:
        yield Driven(pool, log)


async def backwards(
    driven: Driven, name: str, claims: Sequence[Claim], move: Callable[[Claim], Awaitable[Any]]
) -> list[Any]:
    """Makes a move of all claims at once, the last first. Returns what came of it, the first claim's first."""
    async with driven.log.step(name):
        return (await asyncio.gather(*(move(claim) for claim in claims[BACKWARDS])))[BACKWARDS]


def ended(claim: Claim, status: Status) -> Any:
    charged = claim.job.reserved_micros if status is Status.COMPLETED else 0
    refunded = claim.job.reserved_micros - charged
    return replace(
        claim.job, status=status, charged_micros=charged, refunded_micros=refunded, ended_at=utc_now()
    )


async def test_moves_of_many_jobs_lock_in_one_order(driven: Driven) -> None:
    work = driven.work

    async def opened(name: str, claims: Sequence[Claim]) -> list[Claim]:
        return await backwards(
            driven,
            f"open attempts {name}",
            claims,
            lambda each: work.open_attempt(each, candidates=(ROUTE,), token=f"{name}-{each.job.id}"),
        )

    claims = await opened("first", await driven.new(*NUMBERS))
    await backwards(
        driven, "name tasks", claims, lambda each: work.wake(f"first-{each.job.id}", said("cgt-0"))
    )
    await backwards(
        driven, "drop", claims, lambda each: work.drop_attempt(each, outcome="busy", detail="", seconds=0)
    )
    claims = await opened("second", await driven.claims(*(each.job.id for each in claims)))
    await backwards(
        driven,
        "adopt",
        claims,
        lambda each: work.adopt_task(each, task_id="cgt-1", seconds=0, event=driven.event(each)),
    )
    await backwards(driven, "wake", claims, lambda each: work.wake(f"second-{each.job.id}", said("cgt-0")))
    claims = await driven.claims(*(each.job.id for each in claims))
    await backwards(
        driven,
        "note running",
        claims,
        lambda each: work.note_running(each, started_at=utc_now(), event=driven.event(each)),
    )
    kept = await backwards(
        driven,
        "keep",
        claims[:2],
        lambda each: work.keep_output(each, OUTPUT, started_at=utc_now(), event=driven.event(each)),
    )
    given_up = await backwards(
        driven,
        "give up",
        claims[2:],
        lambda each: work.give_up(each, failure=FailureCode.TIMEOUT, detail="", may_run=True),
    )
    async with driven.log.step("renew"):
        await work.renew([*given_up, *kept], lease_seconds=LEASE_SECONDS)
    ends = {each.job.id: ended(each, Status.COMPLETED) for each in kept} | {
        each.job.id: ended(each, Status.FAILED) for each in given_up
    }
    await backwards(
        driven,
        "finish",
        [*kept, *given_up],
        lambda each: work.finish(each, ends[each.job.id], event=driven.event(each)),
    )

    found = await driven.log.violations(order=lock_order.LOCK_ORDER, new_in_nobodys_way=IN_NOBODYS_WAY)
    assert not found, "\n".join(found)
    sizes = {
        step.name: sum(lock.table == "work" and lock.rank is not None for lock in step.locks)
        for step in driven.log.transactions
    }
    assert {sizes[name] for name in ("drop", "adopt", "wake")} == {len(NUMBERS)}
    assert sizes["finish"] == len(NUMBERS)
