"""The primary dies while customers create videos, jobs run and webhooks go out. Run by `make drill-failover`."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.drills.nodes import Node, fail_over, running_nodes
from tests.drills.services import make_databases, running_services, stack_folder
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

CREDITS_GRANTED = 2_000
SIDE_BY_SIDE = 4
EACH = 15
"""Accepted creations before one standby falls behind, after that, and after the failover."""
PROMPTS = ("A paper boat", "[simulate: slow 3]", "[simulate: lost response]", "[simulate: slow 6]")
REPEAT_SECONDS = 0.2
RETRIED = {409, 500, 503, 504}
"""Beside no answer at all: what a customer repeats with the same key."""


@dataclass
class Load:
    """A customer that creates, and repeats what was not answered until it is."""

    customer: Customer
    receiver: Receiver
    accepted: dict[str, str] = field(default_factory=dict)
    """The job of each key that was answered with success."""
    refused: list[int] = field(default_factory=list)
    is_over: bool = False
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(SIDE_BY_SIDE):
                group.create_task(self._create())

    async def until(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.accepted) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async def _create(self) -> None:
        while not self.is_over:
            number = next(self._numbers)
            key = f"key-{number}"
            body = order(PROMPTS[number % len(PROMPTS)], hook=self.receiver.hook(key))
            while (status := await self._send(key, body)) != 200:
                assert status in {0, *RETRIED}, status
                self.refused.append(status)
                await asyncio.sleep(REPEAT_SECONDS)

    async def _send(self, key: str, body: dict[str, Any]) -> int:
        headers = {**self.customer._headers, "Idempotency-Key": key}
        with suppress(aiohttp.ClientError):
            answer = await self.customer.send("POST", VIDEOS, body, headers=headers)
            if answer.status == 200:
                self.accepted[key] = answer.json["data"]["id"]
            return answer.status
        return 0


@dataclass(frozen=True, kw_only=True)
class Aftermath:
    """All that was accepted has ended, on the node that was promoted."""

    account: Account
    accepted: dict[str, str]
    refused: list[int]
    videos: dict[str, dict[str, Any]]
    balance: dict[str, float]
    promoted: Node


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[Node]]:
    with running_nodes() as running:
        yield running


@pytest.fixture(scope="module")
def stack(nodes: list[Node]) -> Iterator[Stack]:
    with stack_folder() as folder:
        make_databases(folder, nodes)
        with running_services(folder, nodes) as running:
            yield running


@pytest.fixture(scope="module")
def books(stack: Stack) -> Books:
    return Books.of(stack)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver().listening() as listening:
        yield listening


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def failed_over(
    nodes: list[Node], stack: Stack, books: Books, receiver: Receiver
) -> AsyncIterator[Aftermath]:
    account = await asyncio.to_thread(stack.create_account, credits_each=str(CREDITS_GRANTED))
    async with open_customer(stack.edge, account.keys["live"]) as customer:
        load = Load(customer, receiver)
        loading = asyncio.create_task(load.run())
        await load.until(EACH)
        # From here on only the other standby has what is acknowledged.
        receiving = await asyncio.to_thread(nodes[2].receiver)
        receiving.suspend()
        await load.until(2 * EACH)
        promoted, _ = await asyncio.to_thread(fail_over, nodes)
        receiving.resume()
        await load.until(3 * EACH)
        load.is_over = True
        await loading
        videos = await until_all_ended(customer, seconds=PATIENCE_SECONDS)
        await until_orphans_are_returned(books, account)
        balance = await customer.get("/v1/balance")
    yield Aftermath(
        account=account,
        accepted=load.accepted,
        refused=load.refused,
        videos=videos,
        balance=balance,
        promoted=promoted,
    )


async def test_the_farther_standby_was_promoted_and_customers_felt_it(
    failed_over: Aftermath, nodes: list[Node]
) -> None:
    assert failed_over.promoted is nodes[1]
    assert failed_over.refused


async def test_each_key_made_one_job_and_all_complete(failed_over: Aftermath) -> None:
    assert len(failed_over.accepted) >= 3 * EACH
    assert sorted(failed_over.videos) == sorted(failed_over.accepted.values())
    assert {video["status"] for video in failed_over.videos.values()} == {"completed"}


async def test_each_job_was_submitted_once(failed_over: Aftermath, books: Books) -> None:
    assert await books.tasks() == dict.fromkeys(failed_over.videos, 1)


async def test_each_job_is_charged_once(failed_over: Aftermath, books: Books) -> None:
    holds = books.holds(failed_over.account)
    kept = {job: holds.pop(job) for job in failed_over.videos}

    assert kept == dict.fromkeys(failed_over.videos, settled(CREDITS_EACH))
    assert set(holds.values()) <= {("expired", 0), ("released", 0)}
    assert failed_over.balance == {
        "available": CREDITS_GRANTED - len(failed_over.videos) * CREDITS_EACH,
        "held": 0,
    }


async def test_each_job_tells_its_end_as_one_event(
    failed_over: Aftermath, books: Books, receiver: Receiver
) -> None:
    for key, job in failed_over.accepted.items():
        await assert_told_once(receiver, key, failed_over.videos[job])
    assert books.events(failed_over.account) == dict.fromkeys(failed_over.videos, 1)


async def test_the_ledger_verifies(failed_over: Aftermath, stack: Stack) -> None:
    verified = await asyncio.to_thread(stack.run, "ledger", "verify")

    assert verified.returncode == 0, verified.stdout + verified.stderr


async def test_the_old_primary_comes_back_as_a_standby(failed_over: Aftermath, nodes: list[Node]) -> None:
    old, promoted = nodes[0], failed_over.promoted
    await asyncio.to_thread(
        old.run,
        "pg_rewind",
        "--target-pgdata",
        old.folder,
        "--source-server",
        promoted.url(),
        "--write-recovery-conf",
    )
    await asyncio.to_thread(old.start)
    await asyncio.to_thread(old.receiver)

    assert old.rows("SELECT pg_is_in_recovery()") == [(True,)]
