"""kill -9 of what creates jobs: whoever repeats a creation with its key until it is answered gets one job with one hold."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

import aiohttp
import pytest
import pytest_asyncio

from tests.e2e.customer import SMALL, VIDEOS, Customer, open_customer
from tests.e2e.edge.client import Answer
from tests.e2e.local_stack import Account, Stack
from tests.faults.evidence import CREDITS_EACH, Books, settled, until_all_ended
from tests.faults.test_kills import process, until_restarted
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

CREDITS_GRANTED = 2000
CREATIONS = 40
SIDE_BY_SIDE = 8
ANSWERED_BEFORE_THE_KILL = 12
REPEAT_SECONDS = 0.1
BODY = {"model": "mini", "input": {"prompt": "A paper boat", **SMALL}}


@dataclass(frozen=True, kw_only=True)
class Creations:
    """What came of creations that were repeated until they were answered with success."""

    account: Account
    customer: Customer
    answers: dict[str, Answer]
    """By idempotency key."""
    repeated_count: int
    """How many of them were sent more than once."""

    @property
    def job_ids(self) -> list[str]:
        return sorted(answer.json["data"]["id"] for answer in self.answers.values())


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=["jobs-api", "postgres"])
async def creations(stack: Stack, request: pytest.FixtureRequest) -> AsyncIterator[Creations]:
    """Kills a process while jobs are created."""
    name: str = request.param
    victim = process(stack, name)
    account = stack.create_account(f"keyed {name}", credits_each=str(CREDITS_GRANTED))
    turns = asyncio.Semaphore(SIDE_BY_SIDE)
    answers: dict[str, Answer] = {}
    repeated: set[str] = set()
    async with open_customer(stack.edge, account.keys["live"]) as customer:

        async def create(key: str) -> None:
            async with turns, asyncio.timeout(PATIENCE_SECONDS):
                while (answer := await send(customer, account, key)) is None:
                    repeated.add(key)
                    await asyncio.sleep(REPEAT_SECONDS)
            answers[key] = answer
            if len(answers) == ANSWERED_BEFORE_THE_KILL:
                os.kill(victim["pid"], signal.SIGKILL)

        await asyncio.gather(*(create(f"{name} {number}") for number in range(CREATIONS)))
        await until_restarted(stack, victim)
        yield Creations(account=account, customer=customer, answers=answers, repeated_count=len(repeated))


async def send(customer: Customer, account: Account, key: str) -> Answer | None:
    """Returns the answer to a creation if it is a success."""
    headers = {"Authorization": f"Bearer {account.keys['live']}", "Idempotency-Key": key}
    # An edge whose services were killed says so; one that is overwhelmed by it may break the connection off.
    with suppress(aiohttp.ClientError, TimeoutError):
        answer = await customer.send("POST", VIDEOS, BODY, headers=headers)
        assert answer.status in {200, 409, 500, 503, 504}, answer.body
        return answer if answer.status == 200 else None
    return None


async def test_every_key_has_one_job_and_every_job_one_hold(creations: Creations, books: Books) -> None:
    videos = await until_all_ended(creations.customer, seconds=PATIENCE_SECONDS)

    assert creations.repeated_count > 0
    assert len(set(creations.job_ids)) == CREATIONS
    assert sorted(videos) == creations.job_ids
    assert {video["status"] for video in videos.values()} == {"completed"}
    assert books.holds(creations.account) == dict.fromkeys(creations.job_ids, settled(CREDITS_EACH))


async def test_every_key_goes_on_answering_the_same(creations: Creations) -> None:
    for key, answer in creations.answers.items():
        again = await send(creations.customer, creations.account, key)

        assert again is not None
        assert (again.body, again.headers["idempotent-replayed"]) == (answer.body, "true")
