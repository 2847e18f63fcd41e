"""However a creation with an idempotency key dies, and however often it is sent, there is one job and one hold."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from reelgate.video.v1.video_service_pb2 import CreateVideoResponse
from reelgate.video.v1.video_service_pb2_grpc import VideoServiceServicer

from services.common.idempotency.reservation import reserved_id
from services.common.ids import new_id
from services.common.postgres.database import Pool
from services.common.rpc.client import open_channel
from services.jobs.clients import LedgerClient
from services.jobs.convert.seedancee2 import ID_PREFIX, render_created
from services.jobs.domain.job import Job
from services.jobs.domain.ledger import HOLD_REUSE_SECONDS_MAX, Hold
from services.jobs.domain.offers import PriceList
from services.jobs.domain.requests import NewJob, Owner
from services.jobs.rpc.calls import buyer
from services.jobs.store.jobs import SqlJobs
from tests.conftest import MakeDatabase
from tests.fakes.jobs import FakePrices
from tests.fakes.operations import job_operations
from tests.integration.billing.running import Billing, running_billing
from tests.integration.common.keyed import Answer, Service, a_caller, post, running_service
from tests.patience import PATIENCE_SECONDS
from tests.unit.jobs.samples import CREDITS_PER_SECOND, INPUT, PRICES, prices_of

MICROS = 1_000_000
PRICE = 50
SIMULTANEOUS = 1_000
MOMENTS = ("before the hold", "after the hold", "before the job", "after the job")
KINDS = ("dies", "fails", "is given up")
WANTED = NewJob(model="mini", input=INPUT, callback_url=None, metadata_json=None)


@dataclass
class Interruption:
    """At which moment of a creation something goes wrong, once, and what."""

    moment: str = ""
    kind: str = ""
    is_reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def at(self, moment: str) -> None:
        if moment != self.moment:
            return
        self.moment = ""
        self.is_reached.set()
        if self.kind == "fails":
            raise ConnectionError("the answer was lost")
        # The process is dead, or about to be told that nobody waits any more.
        await asyncio.Event().wait()


class FragileLedger(LedgerClient):
    """The real ledger behind a connection that breaks."""

    interruption: Interruption

    async def hold(self, hold_id: str, *, owner: Owner, key_id: str, amount_micros: int) -> Hold:
        await self.interruption.at("before the hold")
        hold = await super().hold(hold_id, owner=owner, key_id=key_id, amount_micros=amount_micros)
        await self.interruption.at("after the hold")
        return hold


class FragileJobs(SqlJobs):
    """The real store behind a connection that breaks."""

    interruption: Interruption

    async def create(self, job: Job, **rest: Any) -> None:
        await self.interruption.at("before the job")
        await super().create(job, **rest)
        await self.interruption.at("after the job")


class Servicer(VideoServiceServicer):
    """Creates jobs of WANTED, whatever is asked for."""

    def __init__(self, jobs: SqlJobs, ledger: LedgerClient, prices: FakePrices) -> None:
        self._jobs = jobs
        self._ledger = ledger
        self._prices = prices

    async def CreateVideo(self, request: Any, context: Any) -> CreateVideoResponse:  # noqa: N802  of the proto
        operations = job_operations(self._jobs, ledger=self._ledger, prices=self._prices, new_id=new_id)
        job = await operations.create(
            WANTED, buyer=buyer(), id_prefix=ID_PREFIX, reserved=reserved_id(ID_PREFIX)
        )
        return CreateVideoResponse(data=render_created(job))


@dataclass(frozen=True, kw_only=True)
class Shop:
    """Two processes that create jobs, over one database and one billing process."""

    service: Service
    billing: Billing
    account_id: str
    interruption: Interruption
    prices: FakePrices

    async def create(self, *keys: str, process: int = 0) -> Answer:
        return await post(self.service.channels[process], *keys)

    async def break_off(self, moment: str, kind: str, key: str) -> None:
        """Sends a creation that is interrupted, and lets the time pass after which another process takes over."""
        self.interruption.moment, self.interruption.kind = moment, kind
        self.interruption.is_reached.clear()
        call = asyncio.create_task(self.create(key))
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.interruption.is_reached.wait()
        if kind == "is given up":
            call.cancel()
        if kind != "dies":
            await asyncio.gather(call, return_exceptions=True)
        await self.service.sql("UPDATE idempotency SET locked_until = now() WHERE NOT is_finished")

    async def until_answered(self, key: str, *, process: int = 1) -> Answer:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (answer := await self.create(key, process=process)).status in {409, 503}:  # noqa: ASYNC110  polling is the way
                await asyncio.sleep(0.01)
        return answer

    async def job_ids(self) -> list[str]:
        return [row["id"] for row in await self.service.sql("SELECT id FROM jobs ORDER BY id")]

    async def holds(self) -> dict[str, str]:
        found = await self.billing.rows("SELECT hold_id, state FROM holds ORDER BY hold_id")
        return {row["hold_id"]: row["state"] for row in found}


@asynccontextmanager
async def open_shop(jobs_url: str, billing_url: str, *, credits_live: int) -> AsyncIterator[Shop]:
    interruption, prices = Interruption(), FakePrices(PRICES)
    async with (
        running_billing(billing_url) as billing,
        open_channel(billing.running.internal_address) as channel,
    ):
        account_id = await billing.account(credits_live=credits_live)
        key_id = (await billing.new_key(account_id)).key.key_id

        def serve_on(pool: Pool) -> VideoServiceServicer:
            jobs, ledger = FragileJobs(pool), FragileLedger(channel)
            jobs.interruption = ledger.interruption = interruption
            return Servicer(jobs, ledger, prices)  # type: ignore[abstract]

        callers = [a_caller(account_id, key_id)]
        async with running_service(jobs_url, processes=2, callers=callers, serve_on=serve_on) as service:
            yield Shop(
                service=service,
                billing=billing,
                account_id=account_id,
                interruption=interruption,
                prices=prices,
            )


@pytest.fixture
async def shop(make_database: MakeDatabase) -> AsyncIterator[Shop]:
    async with open_shop(make_database("jobs"), make_database("billing"), credits_live=10 * PRICE) as opened:
        yield opened


def id_in(answer: Answer) -> str:
    return CreateVideoResponse.FromString(answer.body).data.id


async def test_a_thousand_at_once_to_two_processes_are_one_job_and_one_hold(shop: Shop) -> None:
    answers = await asyncio.gather(*(shop.create("k", process=number % 2) for number in range(SIMULTANEOUS)))

    created = {each.body for each in answers if each.status == 200}
    refused = [each.headers["retry-after"] for each in answers if each.status == 409]
    late = await shop.create("k")
    assert created == {late.body}
    assert (late.status, late.is_replay) == (200, True)
    assert len(refused) == sum(each.status != 200 for each in answers)
    assert await shop.job_ids() == list(await shop.holds()) == [id_in(late)]
    assert await shop.billing.balance(shop.account_id) == (9 * PRICE * MICROS, PRICE * MICROS)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_creation_that_was_interrupted_anywhere_goes_on_where_it_stopped(
    shop: Shop, kind: str
) -> None:
    for moment in MOMENTS:
        await shop.break_off(moment, kind, moment)
        answer = await shop.until_answered(moment)
        again = await shop.create(moment, process=1)
        assert (answer.status, again.body, again.is_replay) == (200, answer.body, True)

    assert len(await shop.job_ids()) == len(MOMENTS)
    assert list(await shop.holds()) == await shop.job_ids()
    assert set((await shop.holds()).values()) <= {"provisional", "confirmed"}


async def test_a_job_that_was_stored_is_answered_as_it_was_created(shop: Shop) -> None:
    await shop.break_off("after the job", "dies", "k")
    await shop.service.sql("UPDATE jobs SET status = 'processing'")
    shop.prices.known = PriceList(prices={})

    answer = await shop.until_answered("k")

    created = CreateVideoResponse.FromString(answer.body).data
    assert (created.status, created.id) == ("pending", (await shop.job_ids())[0])


async def test_a_hold_that_has_expired_meanwhile_is_replaced(shop: Shop) -> None:
    await shop.break_off("after the hold", "dies", "k")
    [expired] = await shop.holds()
    await shop.billing.let_time_run_out(expired)
    await shop.billing.sweep()

    answer = await shop.until_answered("k")

    assert await shop.job_ids() == [id_in(answer)]
    assert await shop.holds() == {expired: "expired", id_in(answer): "provisional"}


async def test_a_hold_that_is_about_to_be_taken_for_an_orphan_is_replaced(shop: Shop) -> None:
    await shop.break_off("after the hold", "dies", "k")
    [old] = await shop.holds()
    await shop.billing.rows(
        "UPDATE holds SET created_at = created_at - make_interval(secs => %s)", float(HOLD_REUSE_SECONDS_MAX)
    )

    answer = await shop.until_answered("k")

    assert await shop.job_ids() == [id_in(answer)]
    assert await shop.holds() == {old: "released", id_in(answer): "provisional"}


async def test_a_hold_by_an_old_price_is_given_back_and_replaced(shop: Shop) -> None:
    await shop.break_off("after the hold", "dies", "k")
    [outdated] = await shop.holds()
    dearer = {
        model: {name: 2 * rate for name, rate in rates.items()} for model, rates in CREDITS_PER_SECOND.items()
    }
    shop.prices.known = prices_of(dearer, "live")

    answer = await shop.until_answered("k")

    assert await shop.job_ids() == [id_in(answer)]
    assert await shop.holds() == {outdated: "released", id_in(answer): "provisional"}
    assert await shop.billing.balance(shop.account_id) == (8 * PRICE * MICROS, 2 * PRICE * MICROS)


async def test_after_topping_up_the_same_key_creates(shop: Shop) -> None:
    for number in range(10):
        await shop.create(f"spent {number}")

    refused = await shop.create("k")
    await shop.billing.grant(shop.account_id, PRICE * MICROS, grant_id="more")
    answers = [await shop.create("k") for _ in range(2)]

    assert refused.status == 402
    assert [(each.status, each.is_replay) for each in answers] == [(200, False), (200, True)]
    assert len(await shop.job_ids()) == len(await shop.holds()) == 11


async def test_without_a_key_every_request_is_another_job(shop: Shop) -> None:
    answers = [await shop.create() for _ in range(2)]

    assert [each.is_replay for each in answers] == [False, False]
    assert await shop.job_ids() == [id_in(each) for each in answers]
