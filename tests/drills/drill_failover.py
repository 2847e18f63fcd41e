"""The primary dies while customers create videos, jobs run and webhooks go out. Run by `make drill-failover`."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from tests.drills.load import Load
from tests.drills.nodes import Node, fail_over, running_nodes
from tests.drills.services import make_databases, running_services, stack_folder
from tests.e2e.customer import open_customer
from tests.e2e.local_stack import Account, Stack
from tests.e2e.receiver import Receiver
from tests.faults.evidence import (
    CREDITS_EACH,
    Books,
    assert_told_once,
    settled,
    until_all_ended,
    until_orphans_are_returned,
)
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

CREDITS_GRANTED = 2_000
EACH = 15
"""Accepted creations before one standby falls behind, after that, and after the failover."""


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
        async with load.running():
            await load.until(EACH)
            # From here on only the other standby has what is acknowledged.
            receiving = await asyncio.to_thread(nodes[2].receiver)
            receiving.suspend()
            await load.until(len(load.accepted) + EACH)
            promoted, _ = await asyncio.to_thread(fail_over, nodes)
            receiving.resume()
            await load.until(len(load.accepted) + EACH)
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
