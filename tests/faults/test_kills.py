"""kill -9 of any one process while jobs run: none is lost, none is charged twice, and every customer is told."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.e2e.customer import VIDEOS, Customer, open_customer
from tests.e2e.local_stack import Account, Stack
from tests.e2e.receiver import Receiver
from tests.faults.evidence import (
    CREDITS_EACH,
    Books,
    assert_told_once,
    order,
    settled,
    until_all_ended,
    until_orphans_are_returned,
)
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

CREDITS_GRANTED = 2000
POLL_SECONDS = 0.05
PROMPTS = (
    *("[simulate: rate limit 3]",) * 2,
    *("[simulate: lost response]",) * 2,
    *(f"[simulate: slow {seconds}]" for seconds in (2, 3, 4, 5)),
    *("A paper boat",) * 2,
)
"""Ten jobs that take their time in different steps, so that a kill finds some in each."""
PROCESSES = ("postgres", "billing", "jobs-api", "edge", "jobs-worker", "webhooks", "simulator")
CREATING = PROCESSES[:4]
"""What a creation passes through."""
CREATIONS_MAX = 90
"""Far more than fit between a kill and its effect."""
SIDE_BY_SIDE = 6
ACCEPTED_BEFORE_THE_KILL = 10


@dataclass(frozen=True, kw_only=True)
class Aftermath:
    """An account after a kill, when all its jobs have ended and holds without a job have expired."""

    account: Account
    accepted: list[str]
    """The jobs whose creation was answered with success."""
    videos: dict[str, dict[str, Any]]
    balance: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Kill:
    """What came of killing one process."""

    name: str
    running: Aftermath
    """Ten jobs were running."""
    creating: Aftermath
    """Jobs were being created side by side, if creations pass through the process at all."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def killed(stack: Stack, books: Books, receiver: Receiver, request: pytest.FixtureRequest) -> Kill:
    """Kills the process that a test names, sees it started again, and waits for the end of all jobs."""
    name: str = request.param
    victim = process(stack, name)
    running, creating = (stack.create_account(name, credits_each=str(CREDITS_GRANTED)) for _ in range(2))
    async with (
        open_customer(stack.edge, running.keys["live"]) as first,
        open_customer(stack.edge, creating.keys["live"]) as second,
    ):
        ten = [
            (await first.create(order(prompt, hook=receiver.hook(f"{name}-{number}"))))["id"]
            for number, prompt in enumerate(PROMPTS)
        ]
        await until_spread(books, running)
        kill = partial(os.kill, victim["pid"], signal.SIGKILL)
        accepted: list[str] = []
        if name in CREATING:
            accepted = await create_many(second, hook=receiver.hook(name), in_the_midst=kill)
        else:
            kill()
        await until_restarted(stack, victim)
        return Kill(
            name=name,
            running=await aftermath(books, first, running, ten),
            creating=await aftermath(books, second, creating, accepted),
        )


def process(stack: Stack, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in stack.status()["processes"] if each["name"] == name)
    return found


async def until_spread(books: Books, account: Account) -> None:
    """Waits until some jobs have not reached the provider yet, and some have."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not {"pending", "processing"} <= (found := books.unfinished(account)).keys():
        assert time.monotonic() < deadline, found
        await asyncio.sleep(POLL_SECONDS)


async def create_many(customer: Customer, *, hook: str, in_the_midst: Callable[[], None]) -> list[str]:
    """Creates jobs, SIDE_BY_SIDE at a time, until a kill in the midst is felt. Returns the accepted ones."""
    body = order("A paper boat", hook=hook)
    accepted: list[str] = []
    failed: list[int] = []

    async def create() -> None:
        while not failed and len(accepted) < CREATIONS_MAX:
            status = 0
            # An edge that was killed does not answer; one whose services were killed says so.
            with suppress(aiohttp.ClientError):
                answer = await customer.send("POST", VIDEOS, body)
                status = answer.status
            assert status in {0, 200, 500, 503, 504}
            if status != 200:
                failed.append(status)
                continue
            accepted.append(answer.json["data"]["id"])
            if len(accepted) == ACCEPTED_BEFORE_THE_KILL:
                in_the_midst()

    await asyncio.gather(*(create() for _ in range(SIDE_BY_SIDE)))
    return accepted


async def until_restarted(stack: Stack, victim: dict[str, Any]) -> None:
    """Waits until another process serves in the place of a killed one and all are ready."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (now := await asyncio.to_thread(process, stack, victim["name"]))["pid"] == victim["pid"]:
        assert time.monotonic() < deadline, f"not started again: {now}"
    assert (now["port"], now["restarts"]) == (victim["port"], victim["restarts"] + 1)
    await asyncio.to_thread(stack.until_ready)


async def aftermath(books: Books, customer: Customer, account: Account, accepted: list[str]) -> Aftermath:
    videos = await until_all_ended(customer, seconds=PATIENCE_SECONDS)
    await until_orphans_are_returned(books, account)
    balance = await customer.get("/v1/balance")
    return Aftermath(account=account, accepted=accepted, videos=videos, balance=balance)


each_killed = pytest.mark.parametrize("killed", PROCESSES, indirect=True, scope="module")


@each_killed
async def test_ten_running_jobs_complete(killed: Kill) -> None:
    running = killed.running

    assert len(running.accepted) == len(PROMPTS)
    assert running.videos.keys() == set(running.accepted)
    assert {video["status"] for video in running.videos.values()} == {"completed"}


@each_killed
async def test_each_running_job_is_charged_once(killed: Kill, books: Books) -> None:
    running = killed.running

    assert {video["credits_charged"] for video in running.videos.values()} == {CREDITS_EACH}
    assert running.balance == {"available": CREDITS_GRANTED - len(PROMPTS) * CREDITS_EACH, "held": 0}
    assert books.holds(running.account) == dict.fromkeys(running.accepted, settled(CREDITS_EACH))


@each_killed
async def test_each_running_job_was_rendered_once(killed: Kill, books: Books) -> None:
    tasks = await books.tasks()

    assert {job: tasks[job] for job in killed.running.accepted} == dict.fromkeys(killed.running.accepted, 1)


@each_killed
async def test_each_running_job_tells_its_end_as_one_event(
    killed: Kill, books: Books, receiver: Receiver
) -> None:
    for number, job in enumerate(killed.running.accepted):
        await assert_told_once(receiver, f"{killed.name}-{number}", killed.running.videos[job])
    assert books.events(killed.running.account) == dict.fromkeys(killed.running.accepted, 1)


@pytest.mark.parametrize("killed", CREATING, indirect=True, scope="module")
async def test_what_was_accepted_completes_and_what_was_not_costs_nothing(killed: Kill, books: Books) -> None:
    creating = killed.creating
    holds = books.holds(creating.account)

    assert ACCEPTED_BEFORE_THE_KILL <= len(creating.accepted) < CREATIONS_MAX
    assert {creating.videos[job]["status"] for job in creating.accepted} == {"completed"}
    # Of a creation whose answer was lost, there may be a job, and that one may have lost its hold.
    assert len(creating.videos) <= len(creating.accepted) + SIDE_BY_SIDE
    charged = {job: video["credits_charged"] for job, video in creating.videos.items()}
    assert {job: holds.pop(job) for job in charged} == {
        job: settled(amount) for job, amount in charged.items()
    }
    assert set(holds.values()) <= {("expired", 0), ("released", 0)}
    assert creating.balance == {"available": CREDITS_GRANTED - sum(charged.values()), "held": 0}
    assert books.events(creating.account) == dict.fromkeys(creating.videos, 1)
