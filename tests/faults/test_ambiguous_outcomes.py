"""A provider that answers badly, late or never: one task, one charge or a refund, and one event all the same."""

import io
from dataclasses import dataclass
from typing import Any

import av
import pytest
import pytest_asyncio

from services.jobs.timing import RENDERS_MAX
from tests.e2e.customer import open_customer
from tests.e2e.local_stack import Account, Stack
from tests.e2e.receiver import Receiver
from tests.faults.evidence import (
    CREDITS_EACH,
    Books,
    assert_told_once,
    order,
    settled,
    until_all_ended,
)
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

CREDITS_GRANTED = 1000

WHOLE = (
    "lost response",
    "stored error",
    "garbled create",
    "create error 1",
    "rate limit 2",
    "overload 2",
    "poll error 3",
    "garbled poll 3",
    "strange status 3",
    "no callbacks",
    "callbacks only",
    "twice callbacks",
    "shuffled callbacks",
)
"""Directives after which the clip comes whole in the end."""
UNUSABLE = ("no video", "wrong media", "truncated media", "corrupt media")
CREDITS = {
    **dict.fromkeys(WHOLE, CREDITS_EACH),
    **dict.fromkeys(UNUSABLE, 0),
    "short clip": CREDITS_EACH // 2,
}
"""What each job costs in the end, by directive."""


@dataclass(frozen=True, kw_only=True)
class Endings:
    """One account with a job for each directive, after all have ended."""

    account: Account
    jobs: dict[str, str]
    """Ids by directive."""
    videos: dict[str, dict[str, Any]]
    balance: dict[str, float]


def hook_of(directive: str) -> str:
    return directive.replace(" ", "-")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def endings(stack: Stack, receiver: Receiver) -> Endings:
    account = stack.create_account("ambiguous", credits_each=str(CREDITS_GRANTED))
    async with open_customer(stack.edge, account.keys["live"]) as customer:
        jobs = {}
        for directive in CREDITS:
            created = await customer.create(
                order(f"[simulate: {directive}]", hook=receiver.hook(hook_of(directive)))
            )
            assert created["credits_reserved"] == CREDITS_EACH
            jobs[directive] = created["id"]
        videos = await until_all_ended(customer, seconds=PATIENCE_SECONDS)
        balance = await customer.get("/v1/balance")
    return Endings(account=account, jobs=jobs, videos=videos, balance=balance)


@pytest.mark.parametrize("directive", CREDITS)
async def test_a_job_ends_with_what_came_and_is_charged_for_that(endings: Endings, directive: str) -> None:
    video = endings.videos[endings.jobs[directive]]

    if directive in UNUSABLE:
        assert (video["status"], video["error"]["code"]) == ("failed", "generation_failed")
        assert (video["credits_charged"], video["credits_refunded"]) == (0, CREDITS_EACH)
    else:
        assert (video["status"], video["credits_charged"]) == ("completed", CREDITS[directive])


@pytest.mark.parametrize("directive", CREDITS)
async def test_the_receiver_is_told_once(endings: Endings, receiver: Receiver, directive: str) -> None:
    await assert_told_once(receiver, hook_of(directive), endings.videos[endings.jobs[directive]])


async def test_no_job_was_rendered_twice_but_those_whose_provider_had_nothing_to_show(
    endings: Endings, books: Books
) -> None:
    tasks = await books.tasks()

    assert {name: tasks[job] for name, job in endings.jobs.items()} == {
        **dict.fromkeys(CREDITS, 1),
        "no video": RENDERS_MAX,
    }


async def test_the_books_balance(endings: Endings, books: Books) -> None:
    assert books.holds(endings.account) == {
        endings.jobs[name]: settled(amount) for name, amount in CREDITS.items()
    }
    assert endings.balance == {"available": CREDITS_GRANTED - sum(CREDITS.values()), "held": 0}
    assert books.events(endings.account) == dict.fromkeys(endings.jobs.values(), 1)


async def test_a_shorter_clip_is_delivered_as_it_came(stack: Stack, endings: Endings) -> None:
    url = endings.videos[endings.jobs["short clip"]]["output"]["video_url"]
    async with open_customer(stack.edge, "none") as anybody:
        answer = await anybody.send("GET", url.removeprefix(stack.edge))

    with av.open(io.BytesIO(answer.body), "r") as clip:
        assert clip.duration is not None
        assert clip.duration / av.time_base == pytest.approx(2, abs=0.1)
