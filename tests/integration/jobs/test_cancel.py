"""Cancelling jobs: in every state, in both contracts, and in races with whoever completes them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from services.common.clock import utc_now
from services.common.errors import Reason, ServiceError
from services.common.postgres.database import Pool
from services.jobs.convert.events import render_event
from services.jobs.domain.claims import Claim, LeaseLostError
from services.jobs.domain.failures import FailureCode
from services.jobs.domain.job import Output
from services.jobs.domain.requests import Caps
from services.jobs.domain.states import State
from services.jobs.operations.cancel_job import LOOKS_SECONDS
from services.jobs.steps.complete import complete
from services.jobs.steps.return_credits import return_credits
from services.jobs.store.queue.withdrawals import SqlWithdrawals
from services.upstream.provider import (
    Done,
    Pending,
    UnreachableError,
)
from tests.fakes.upstream import Answer, ScriptedMedia
from tests.integration.jobs.api import Api, Refusal, running_api
from tests.integration.jobs.conftest import a_candidate

BODY = {"model": "mini", "input": {"prompt": "waves"}}
ROUTE = a_candidate()
OUTPUT = Output(video_url="v", thumbnail_url="t", last_frame_url=None, duration_seconds=5.0)
HELD_SECONDS = 600.0


@pytest.fixture
async def api(jobs_pool: Pool) -> AsyncIterator[Api]:
    async with running_api(jobs_pool) as running:
        yield running


@dataclass
class Customer:
    """Somebody with one job."""

    api: Api
    key: str
    job_id: str

    async def cancel(self) -> Any:
        return (await self.api.call("Video.CancelVideo", {"id": self.job_id}, key=self.key))["data"]

    async def refusal(self) -> Refusal:
        with pytest.raises(Refusal) as refused:
            await self.cancel()
        return refused.value

    async def poll(self) -> Any:
        return (await self.api.call("Video.GetVideo", {"id": self.job_id}, key=self.key))["data"]

    async def claim(self) -> Claim:
        [claim] = await self.api.work.claim(limit=10, lease_seconds=HELD_SECONDS)
        return claim

    async def at_submitting(self) -> Claim:
        return await self.api.work.open_attempt(await self.claim(), candidates=(ROUTE,), token="secret")

    async def at_processing(self) -> Claim:
        claim = await self.at_submitting()
        await self.api.work.adopt_task(claim, task_id="cgt-1", seconds=0, event=None)
        return await self.claim()

    async def at_stored(self) -> Claim:
        claim = await self.at_processing()
        return await self.api.work.keep_output(claim, OUTPUT, started_at=utc_now(), event=None)


@pytest.fixture
async def customer(api: Api) -> Customer:
    key = api.add_key()
    created = await api.call("Video.CreateVideo", BODY, key=key)
    return Customer(api, key, created["data"]["id"])


async def rows(pool: Pool, statement: str) -> list[dict[str, Any]]:
    async with pool.connection() as connection:
        return await (await connection.execute(statement.encode())).fetchall()


async def test_a_pending_job_is_cancelled_and_refunded_at_once(customer: Customer, jobs_pool: Pool) -> None:
    answer = await customer.cancel()

    assert (answer["status"], answer["error"]["code"]) == ("failed", "cancelled")
    assert (answer["credits_charged"], answer["credits_refunded"]) == (0, 50)
    assert answer == await customer.poll()
    assert customer.api.ledger.state == {customer.job_id: "released"}
    assert await rows(jobs_pool, "SELECT * FROM work") == []
    [event] = await rows(jobs_pool, "SELECT type FROM outbox")
    assert event["type"] == "video.generation.failed"


async def test_a_cancelled_job_is_answered_again(customer: Customer, jobs_pool: Pool) -> None:
    first = await customer.cancel()

    assert await customer.cancel() == first
    assert len(await rows(jobs_pool, "SELECT * FROM outbox")) == 1


async def test_a_job_of_the_other_contract_is_canceled(api: Api) -> None:
    key = api.add_key(contract="nextapi")
    body = {
        "model": "seedance-2.0-mini",
        "prompt": "waves",
        "duration_seconds": 5,
        "resolution": "720p",
    }
    created = await api.call("Job.CreateJob", body, key=key)

    answer = await api.call("Job.CancelJob", {"id": created["id"]}, key=key)

    assert (answer["status"], answer["error"]["code"], answer["credits"]) == ("canceled", "canceled", 0)


async def test_a_worker_that_has_a_pending_job_loses_it(customer: Customer) -> None:
    held = await customer.claim()

    await customer.cancel()

    with pytest.raises(LeaseLostError):
        await customer.api.work.open_attempt(held, candidates=(ROUTE,), token="late")


async def test_a_job_that_waits_for_a_place_is_cancelled_and_lets_nobody_in(api: Api) -> None:
    key = api.add_key(caps=Caps(account_jobs=1, key_jobs=1))
    created = [(await api.call("Video.CreateVideo", BODY, key=key))["data"]["id"] for _ in range(3)]
    waiting = Customer(api, key, created[1])

    answer = await waiting.cancel()

    assert answer["error"]["code"] == "cancelled"
    assert [claim.job.id for claim in await api.work.claim(limit=9, lease_seconds=1)] == created[:1]


async def test_a_cancelled_job_gives_its_place_to_the_next(api: Api) -> None:
    key = api.add_key(caps=Caps(account_jobs=1, key_jobs=1))
    created = [(await api.call("Video.CreateVideo", BODY, key=key))["data"]["id"] for _ in range(2)]

    await Customer(api, key, created[0]).cancel()

    assert [claim.job.id for claim in await api.work.claim(limit=9, lease_seconds=1)] == created[1:]


async def test_a_provider_that_stops_the_task_ends_the_job(customer: Customer, jobs_pool: Pool) -> None:
    held = await customer.at_processing()

    answer = await customer.cancel()

    assert (answer["status"], answer["error"]["code"], answer["credits_refunded"]) == (
        "failed",
        "cancelled",
        50,
    )
    assert customer.api.provider.cancelled == ["cgt-1"]
    assert customer.api.ledger.state == {customer.job_id: "released"}
    with pytest.raises(LeaseLostError):
        await customer.api.work.keep_output(held, OUTPUT, started_at=utc_now(), event=None)
    [attempt] = await rows(jobs_pool, "SELECT outcome, detail FROM attempts")
    assert attempt == {"outcome": "failed", "detail": "cancelled on request"}


@pytest.mark.parametrize(
    "answer", [Pending(running=True), Done(video_url="https://p.example/v"), UnreachableError("down")]
)
async def test_a_job_that_cannot_be_stopped_stays_with_whoever_has_it(
    customer: Customer, answer: Answer
) -> None:
    held = await customer.at_processing()
    customer.api.provider.answers = [answer]

    refused = await customer.refusal()

    assert refused.http_status == (503 if isinstance(answer, Exception) else 409)
    await customer.api.work.keep_output(held, OUTPUT, started_at=utc_now(), event=None)


@pytest.mark.parametrize(
    ("says", "status", "sentence"),
    [
        (False, 409, "can no longer stop it"),
        (UnreachableError("down"), 503, "It goes on. Try again."),
    ],
)
async def test_a_job_that_is_not_stopped_goes_on_at_once(
    customer: Customer, says: bool | Exception, status: int, sentence: str
) -> None:
    await customer.at_processing()
    customer.api.provider.cancel_answer = says

    refused = await customer.refusal()

    assert (refused.http_status, sentence in refused.message) == (status, True)
    assert (await customer.claim()).state is State.PROCESSING
    assert (await customer.poll())["status"] == "processing"


@pytest.mark.parametrize("answer", [Pending(running=True), UnreachableError("down")])
async def test_a_cancellation_that_is_repeated_does_not_ask_the_provider_again(
    customer: Customer, answer: Answer
) -> None:
    await customer.at_processing()
    customer.api.provider.answers = [answer]

    refusals = [await customer.refusal() for _ in range(5)]
    refusals += await asyncio.gather(*(customer.refusal() for _ in range(20)))

    assert len({refused.message for refused in refusals}) == 1
    assert customer.api.provider.checked == ["cgt-1"]


async def test_of_cancellations_at_once_one_asks_the_provider_and_all_are_answered(
    customer: Customer,
) -> None:
    await customer.at_processing()

    answers = await asyncio.gather(*(customer.cancel() for _ in range(20)))

    assert {answer["error"]["code"] for answer in answers} == {"cancelled"}
    assert customer.api.provider.checked == customer.api.provider.cancelled == ["cgt-1"]


async def test_a_job_that_is_known_to_be_rendered_is_refused_without_asking(customer: Customer) -> None:
    claim = await customer.at_processing()
    await customer.api.work.note_running(claim, started_at=utc_now(), event=None)

    refused = await customer.refusal()

    assert (refused.http_status, "can no longer stop it" in refused.message) == (409, True)
    assert customer.api.provider.checked == []


async def test_a_job_on_its_way_to_a_provider_is_cancelled_when_it_has_arrived(customer: Customer) -> None:
    claim = await customer.at_submitting()
    adopt = partial(customer.api.work.adopt_task, claim, task_id="cgt-1", seconds=60, event=None)
    customer.api.meanwhile = once(adopt)

    answer = await customer.cancel()

    assert answer["error"]["code"] == "cancelled"
    assert customer.api.provider.cancelled == ["cgt-1"]


async def test_a_job_that_stays_on_its_way_is_not_touched(customer: Customer) -> None:
    claim = await customer.at_submitting()
    looks: list[None] = []
    customer.api.meanwhile = partial(asyncio.to_thread, looks.append, None)

    refused = await customer.refusal()

    assert (refused.http_status, "Try again" in refused.message) == (409, True)
    assert len(looks) == len(LOOKS_SECONDS)
    await customer.api.work.adopt_task(claim, task_id="cgt-1", seconds=0, event=None)


async def test_a_stored_job_is_about_to_complete_and_is_not_cancelled(customer: Customer) -> None:
    claim = await customer.at_stored()

    stored = await customer.refusal()
    await complete(
        claim,
        work=customer.api.work,
        ledger=customer.api.ledger,
        media=ScriptedMedia(),
        clock=utc_now,
        render_event=render_event,
    )
    ended = await customer.refusal()

    assert (stored.http_status, "about to complete" in stored.message) == (409, True)
    assert (ended.http_status, "has ended" in ended.message) == (409, True)
    assert (await customer.poll())["status"] == "completed"


async def test_a_job_that_failed_by_itself_is_not_called_cancelled(customer: Customer) -> None:
    failing = await customer.api.work.give_up(
        await customer.claim(), failure=FailureCode.TIMEOUT, detail="late"
    )
    end = partial(
        return_credits,
        work=customer.api.work,
        ledger=customer.api.ledger,
        clock=utc_now,
        render_event=render_event,
    )
    customer.api.meanwhile = once(partial(end, failing))

    refused = await customer.refusal()

    assert (refused.http_status, "has ended" in refused.message) == (409, True)
    assert (await customer.poll())["error"]["code"] == "timeout"


async def test_nobody_cancels_what_is_not_theirs(customer: Customer) -> None:
    api = customer.api
    strangers = [
        Customer(api, api.add_key(account_id="acct_2"), customer.job_id),
        Customer(api, api.add_key(environment="test"), customer.job_id),
        Customer(api, customer.key, customer.job_id[:-1] + "zz"),
        Customer(api, customer.key, "nonsense"),
    ]

    refusals = [await stranger.refusal() for stranger in strangers]

    assert {refused.http_status for refused in refusals} == {404}
    assert (await customer.poll())["status"] == "pending"


async def test_a_worker_goes_on_with_a_cancellation_whose_process_died(
    customer: Customer, jobs_pool: Pool
) -> None:
    withdrawals = SqlWithdrawals(jobs_pool)
    await withdrawals.withdraw(customer.job_id, failure=FailureCode.CANCELLED, lease_seconds=0)

    claim = await customer.claim()
    await return_credits(
        claim, work=customer.api.work, ledger=customer.api.ledger, clock=utc_now, render_event=render_event
    )

    assert claim.state is State.FAILING
    assert (await customer.cancel())["error"]["code"] == "cancelled"
    assert customer.api.ledger.state == {customer.job_id: "released"}


async def test_credits_that_cannot_be_given_back_now_are_given_back_later(
    customer: Customer, jobs_pool: Pool
) -> None:
    customer.api.ledger.outage = ServiceError(Reason.UNAVAILABLE, "billing is away")
    first = await customer.refusal()
    second = await customer.refusal()
    customer.api.ledger.outage = None
    await rows(jobs_pool, "UPDATE work SET lease_until = '-infinity' RETURNING 1")
    [claim] = await customer.api.work.claim(limit=1, lease_seconds=HELD_SECONDS)
    await return_credits(
        claim, work=customer.api.work, ledger=customer.api.ledger, clock=utc_now, render_event=render_event
    )

    assert (first.http_status, second.http_status) == (503, 503)
    assert (await customer.cancel())["credits_refunded"] == 50


def once(act: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[object]]:
    """Returns what does something the first time it is called, and nothing after that."""
    left = [act]

    async def acting() -> None:
        if left:
            await left.pop()()

    return acting
