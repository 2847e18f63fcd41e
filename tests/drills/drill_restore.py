"""The only node dies; the services go on from what was kept of it, by the commands of docs/postgresql.md.

Once from the base backup and the archive, at a moment that was named under load, and once from dumps that were made under load.
Run by `make drill-failover`.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, LiteralString

import pytest
import pytest_asyncio

from services.devstack.folder import StackFolder
from services.jobs.domain.ledger import ORPHAN_SECONDS
from tests.drills.load import Load
from tests.drills.nodes import Node
from tests.drills.page import run_as_operator, run_beside
from tests.drills.restores import archived_node, empty_node, restored_node
from tests.drills.services import make_databases, running_services, stack_folder
from tests.e2e.customer import open_customer
from tests.e2e.local_stack import Account
from tests.e2e.receiver import Receiver
from tests.faults.evidence import Books, until_all_ended, until_orphans_are_returned
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

CREDITS_GRANTED = 2_000
EACH = 8
"""Accepted creations before the base backup, until the moment that is named, until the dumps, and after them."""
POLL_SECONDS = 0.1
AGED: LiteralString = """
    UPDATE holds SET created_at = created_at - make_interval(secs => %(seconds)s)
    WHERE resolved_at IS NULL RETURNING hold_id
"""
"""Holds whose job came after the dump of jobs are confirmed: nothing but reconciling gives them back."""
WAYS = ("to a moment", "from dumps")


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What there is when the node is gone."""

    folder: StackFolder
    """Of the stack, with its secrets; not its databases."""
    node: Node
    kept: Path
    account: Account
    known: dict[str, tuple[set[str], set[str]]]
    """By the way of restoring: the jobs that must be there, and those that may."""


@dataclass(frozen=True, kw_only=True)
class Restored:
    """An account when all its jobs have ended after a restore, and all was reconciled."""

    account: Account
    must: set[str]
    may: set[str]
    videos: dict[str, dict[str, Any]]
    balance: dict[str, float]
    holds: dict[str, tuple[str, int]]
    events: dict[str, int]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver().listening() as listening:
        yield listening


@pytest.fixture(scope="module")
def archived() -> Iterator[tuple[StackFolder, Node, Path]]:
    with stack_folder() as folder, archived_node() as (node, kept):
        make_databases(folder, [node])
        yield folder, node, kept


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lost(archived: tuple[StackFolder, Node, Path], receiver: Receiver) -> Kept:
    """Runs the services under load, keeps what the page says, and kills the node."""
    folder, node, kept = archived

    async def beside(name: str, **variables: Path) -> None:
        await asyncio.to_thread(run_beside, node, name, **variables)

    with running_services(folder, [node]) as stack:
        account = await asyncio.to_thread(stack.create_account, credits_each=str(CREDITS_GRANTED))
        async with open_customer(stack.edge, account.keys["live"]) as customer:
            load = Load(customer, receiver)
            async with load.running():
                await load.until(EACH)
                await beside("base backup", BACKUP=kept / "base")
                await load.until(len(load.accepted) + EACH)
                before_the_moment = set(load.accepted.values())
                await beside("name the moment")
                await load.until(len(load.accepted) + EACH)
                before_the_dumps = set(load.accepted.values())
                await beside("dump", DUMPS=kept)
                await load.until(len(load.accepted) + EACH)
        everything = set(load.accepted.values())
        await asyncio.to_thread(node.die)
    known = {"to a moment": (before_the_moment, everything), "from dumps": (before_the_dumps, everything)}
    return Kept(folder=folder, node=node, kept=kept, account=account, known=known)


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=WAYS)
async def restored(request: pytest.FixtureRequest, lost: Kept) -> Restored:
    """Restores in one way, and lets the services go on until all has ended and is reconciled."""
    ways: dict[str, Callable[[], AbstractContextManager[Node]]] = {
        "to a moment": partial(restored_node, lost.kept),
        "from dumps": partial(_from_dumps, lost),
    }
    must, may = lost.known[request.param]
    with ways[request.param]() as node, running_services(lost.folder, [node]) as stack:
        books = Books.of(stack)
        async with open_customer(stack.edge, lost.account.keys["live"]) as customer:
            await until_all_ended(customer, seconds=PATIENCE_SECONDS)
            books.rows("billing", AGED, seconds=float(ORPHAN_SECONDS))
            await asyncio.to_thread(run_as_operator, "after every restore", data=stack.folder)
            await until_orphans_are_returned(books, lost.account)
            videos = await until_all_ended(customer, seconds=PATIENCE_SECONDS)
            await _until_told(books, lost.account, videos)
            balance = await customer.get("/v1/balance")
        verified = await asyncio.to_thread(stack.run, "ledger", "verify")
        assert verified.returncode == 0, verified.stdout + verified.stderr
        return Restored(
            account=lost.account,
            must=must,
            may=may,
            videos=videos,
            balance=balance,
            holds=books.holds(lost.account),
            events=dict(books.events(lost.account)),
        )


@contextmanager
def _from_dumps(lost: Kept) -> Iterator[Node]:
    with empty_node(lost.node.folder.parent) as node:
        run_beside(node, "restore a dump", DUMPS=lost.kept)
        make_databases(lost.folder, [node])
        yield node


async def _until_told(books: Books, account: Account, videos: dict[str, Any]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while set(books.events(account)) != set(videos) or books.rows("webhooks", "SELECT job_id FROM heads"):  # noqa: ASYNC110
            await asyncio.sleep(POLL_SECONDS)


async def test_what_was_accepted_before_the_moment_is_there_and_completes(restored: Restored) -> None:
    assert len(restored.must) >= 2 * EACH
    assert restored.must <= set(restored.videos)
    assert {restored.videos[job]["status"] for job in restored.must} == {"completed"}


async def test_what_came_after_the_moment_is_gone(restored: Restored) -> None:
    # Of creations that crossed with the moment, some are there.
    assert restored.may - set(restored.videos)
    assert {video["status"] for video in restored.videos.values()} == {"completed"}


async def test_each_job_is_paid_once(restored: Restored) -> None:
    charged = {job: video["credits_charged"] for job, video in restored.videos.items()}
    taken = {
        job: micros // 1_000_000 for job, (state, micros) in restored.holds.items() if state == "captured"
    }

    assert taken == charged
    assert restored.balance == {"available": CREDITS_GRANTED - sum(charged.values()), "held": 0}


async def test_the_end_of_each_job_is_one_event(restored: Restored) -> None:
    assert restored.events == dict.fromkeys(restored.videos, 1)


async def test_customers_were_told_of_each_job(restored: Restored, receiver: Receiver) -> None:
    told = {json.loads(each.body)["data"]["id"] for several in receiver.webhooks.values() for each in several}

    assert set(restored.videos) <= told
