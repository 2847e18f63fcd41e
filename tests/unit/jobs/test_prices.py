"""What a request costs, for whom, at which moment."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from services.common.errors import Reason, ServiceError
from services.jobs.clients import PRICES_KNOWN_SECONDS, PriceCache
from services.jobs.convert import seedancee2
from services.jobs.domain.offers import PriceList
from services.jobs.domain.requests import Buyer, NewJob
from services.jobs.operations.models import offer_at, offers_at
from services.jobs.operations.price_job import Quote, price_job
from tests.fakes.jobs import FakeJobs, FakeLedger
from tests.fakes.operations import job_operations
from tests.unit.jobs.samples import BUYER, CATALOGUE, INPUT, OWNER, PRICES, a_price, prices_of

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
WANTED = NewJob(
    model="mini", input=INPUT, callback_url=None, metadata_json=None, field_name=seedancee2.field_name
)
MILLISECOND = timedelta(milliseconds=1)
VERSIONS = [
    a_price(10, version="old", valid_from=NOW - timedelta(days=1)),
    a_price(12, version="new", valid_from=NOW),
    a_price(15, version="coming", valid_from=NOW + timedelta(days=1)),
]
CHANGING = PriceList(prices={("mini", "720p", "live"): VERSIONS})


async def quote(
    wanted: NewJob, *, prices: PriceList = PRICES, buyer: Buyer = BUYER, moment: datetime = NOW
) -> Quote:
    offer = offer_at(moment, wanted.model, buyer=buyer, catalogue=CATALOGUE, prices=prices)
    return price_job(wanted, offer)


async def names(prices: PriceList, *, buyer: Buyer = BUYER) -> list[str]:
    offers = offers_at(NOW, buyer=buyer, catalogue=CATALOGUE, prices=prices)
    return [offer.model.id for offer in offers]


async def refusal(wanted: NewJob, *, prices: PriceList = PRICES, buyer: Buyer = BUYER) -> ServiceError:
    with pytest.raises(ServiceError) as refused:
        await quote(wanted, prices=prices, buyer=buyer)
    return refused.value


@pytest.mark.parametrize(
    ("model", "seconds", "resolution", "credits"),
    [
        ("mini", 5, "720p", 50),
        ("pro", 4, "480p", 40),
        ("fast", 10, "720p", 160),
        ("pro", 5, "720p", 100),
        ("pro", 15, "1080p", 750),
        ("fast", 4, "480p", 32),
        ("mini", 15, "480p", 75),
    ],
)
async def test_the_contracts_prices_hold(model: str, seconds: int, resolution: str, credits: int) -> None:  # noqa: A002 - the contract's word
    wanted = replace(
        INPUT, duration_seconds=seconds, resolution=resolution, image_urls=("https://a.example/1",) * 2
    )

    assert (await quote(replace(WANTED, model=model, input=wanted))).total_micros == credits * 1_000_000


@pytest.mark.parametrize(
    ("moment", "version", "total_micros"),
    [
        (NOW - timedelta(days=1), "old", 50_000_000),
        (NOW - MILLISECOND, "old", 50_000_000),
        (NOW, "new", 60_000_000),
        (NOW + timedelta(days=1) - MILLISECOND, "new", 60_000_000),
        (NOW + timedelta(days=1), "coming", 75_000_000),
    ],
)
async def test_the_version_that_holds_at_the_moment_counts(
    moment: datetime, version: str, total_micros: int
) -> None:
    found = await quote(WANTED, prices=CHANGING, moment=moment)

    assert (found.price.version, found.total_micros) == (version, total_micros)


async def test_before_its_first_price_a_model_is_not_there() -> None:
    refused = await refusal(WANTED, prices=PriceList(prices={("mini", "720p", "live"): VERSIONS[2:]}))

    assert refused.reason is Reason.MODEL_NOT_FOUND
    assert refused.message == 'There is no model "mini". This key has none that it could use.'


async def test_a_model_without_a_price_in_the_environment_is_not_there() -> None:
    prices = prices_of({"pro": {"480p": 10}, "mini": {"480p": 5}}, "live")
    prices = PriceList(prices={**prices.prices, **prices_of({"mini": {"480p": 5}}, "test").prices})
    of_test = replace(BUYER, owner=replace(OWNER, environment="test"))

    refused = await refusal(replace(WANTED, model="pro"), prices=prices, buyer=of_test)

    assert (await names(prices), await names(prices, buyer=of_test)) == (["pro", "mini"], ["mini"])
    assert refused.message == 'There is no model "pro". Use one of: mini.'


async def test_a_model_of_another_contract_is_not_there() -> None:
    nextapi = replace(BUYER, owner=replace(OWNER, contract="nextapi"))
    models = ["seedance-2.0-pro", "seedance-2.0-fast", "seedance-2.0-mini"]

    refused = await refusal(replace(WANTED, model="mini"), buyer=nextapi)
    other = await refusal(replace(WANTED, model="seedance-2.0-mini"))

    assert (refused.reason, other.reason) == (Reason.MODEL_NOT_FOUND, Reason.MODEL_NOT_FOUND)
    assert refused.message == f'There is no model "mini". Use one of: {", ".join(models)}.'
    assert await names(PRICES, buyer=nextapi) == models


async def test_six_seconds_of_the_documented_model_cost_the_documented_credits() -> None:
    nextapi = replace(BUYER, owner=replace(OWNER, contract="nextapi"))
    wanted = replace(INPUT, duration_seconds=6, resolution="1080p")

    found = await quote(replace(WANTED, model="seedance-2.0-pro", input=wanted), buyer=nextapi)

    assert found.total_micros == 1_050_000


async def test_a_resolution_without_a_price_is_not_on_offer() -> None:
    prices = prices_of({"pro": {"480p": 10, "1080p": 50}}, "live")

    refused = await refusal(replace(WANTED, model="pro"), prices=prices)
    offer = offer_at(NOW, "pro", buyer=BUYER, catalogue=CATALOGUE, prices=prices)

    assert (
        refused.message == 'Field input.resolution must be one of 480p, 1080p for model pro. It was "720p".'
    )
    assert list(offer.prices) == ["480p", "1080p"]


async def test_a_price_for_what_no_model_can_do_offers_nothing() -> None:
    prices = prices_of({"mini": {"1080p": 1}, "ultra": {"720p": 1}}, "live")

    assert await names(prices) == []


async def test_a_model_that_the_key_may_not_use_is_not_there() -> None:
    buyer = replace(BUYER, models_allowed=("mini", "pro", "ultra"))

    refused = [await refusal(replace(WANTED, model=model), buyer=buyer) for model in ("fast", "ultra")]

    assert await names(PRICES, buyer=buyer) == ["pro", "mini"]
    assert [error.reason for error in refused] == [Reason.MODEL_NOT_FOUND] * 2
    assert [error.message for error in refused] == [
        'There is no model "fast". Use one of: pro, mini.',
        'There is no model "ultra". Use one of: pro, mini.',
    ]


@pytest.mark.parametrize("available_micros", [0, 49_999_999, 50_000_000])
async def test_an_estimate_says_what_there_is_and_holds_nothing(available_micros: int) -> None:
    ledger = FakeLedger(available_micros={(OWNER.account_id, OWNER.environment): available_micros})

    operations = job_operations(FakeJobs(), ledger=ledger, funds=ledger, clock=lambda: NOW)

    estimate = await operations.estimate(WANTED, buyer=BUYER)

    assert (estimate.total_micros, estimate.available_micros) == (50_000_000, available_micros)
    assert not ledger.amount


@dataclass
class Billing:
    """Tells prices, one list after the other, while it is there."""

    answers: list[PriceList]
    outage: ServiceError | None = None
    asked: int = 0
    moment: float = 0.0
    takes_seconds: float = 0.0
    open: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.open.set()

    async def fetch(self) -> PriceList:
        self.asked += 1
        await self.open.wait()
        self.moment += self.takes_seconds
        if self.outage is not None:
            raise self.outage
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def cache(self) -> PriceCache:
        return PriceCache(self.fetch, monotonic=lambda: self.moment)


NEW_PRICES = prices_of({"mini": {"720p": 12}}, "live")
DOWN = ServiceError(Reason.DEADLINE_EXCEEDED, "billing")


async def test_a_new_price_is_seen_four_seconds_after_the_last_question() -> None:
    billing = Billing([PRICES, NEW_PRICES], takes_seconds=1.0)
    cache = billing.cache()
    first = await cache.current()
    billing.moment = PRICES_KNOWN_SECONDS - 0.001
    second = await cache.current()
    asked = billing.asked
    billing.moment = PRICES_KNOWN_SECONDS

    third = await cache.current()

    assert (first, second, asked) == (PRICES, PRICES, 1)
    assert third == NEW_PRICES


async def test_many_callers_at_once_ask_once_and_one_that_gives_up_takes_nothing_from_the_others() -> None:
    billing = Billing([PRICES])
    billing.open.clear()
    cache = billing.cache()
    callers = [asyncio.create_task(cache.current()) for _ in range(10)]
    await asyncio.sleep(0)
    callers[0].cancel()
    billing.open.set()

    answers = await asyncio.gather(*callers[1:])

    assert answers == [PRICES] * 9
    assert billing.asked == 1


async def test_while_billing_is_down_the_known_prices_go_on_holding() -> None:
    billing = Billing([PRICES, NEW_PRICES])
    cache = billing.cache()
    await cache.current()
    billing.moment, billing.outage = 3600, DOWN
    during = await cache.current()
    billing.outage = None

    after = await cache.current()

    assert (during, after) == (PRICES, NEW_PRICES)


async def test_without_any_known_price_nothing_is_sold() -> None:
    billing = Billing([PRICES], outage=DOWN)
    cache = billing.cache()

    with pytest.raises(ServiceError) as refused:
        await cache.current()

    assert refused.value.reason is Reason.UNAVAILABLE
    billing.outage = None
    assert await cache.current() == PRICES
