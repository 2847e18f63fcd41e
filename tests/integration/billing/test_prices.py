"""Prices: versions that never change, from a file and from operators."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from reelgate.admin.v1 import audit_pb2, price_admin_service_pb2, price_admin_service_pb2_grpc
from reelgate.internal.prices.v1 import price_pb2, price_service_pb2, price_service_pb2_grpc

import services.billing
from services.common.clock import rfc3339, utc_now, whole_milliseconds
from services.common.errors import Reason, ServiceError
from services.common.rpc.client import open_channel
from tests.conftest import MakeDatabase
from tests.integration.billing.running import CREDIT, Billing, running_billing

PRICES_FILE = Path(services.billing.__file__).parent / "prices.yaml"
FILE_VERSION = "2026-11"
FILE_PRICE_COUNT = 28
NOTE = audit_pb2.AuditNote(actor="eve", reason="summer sale")


def a_price(
    credits_per_second: int = 12, *, model: str = "mini", resolution: str = "720p", environment: str = "live"
) -> price_pb2.Price:
    return price_pb2.Price(
        model=model,
        resolution=resolution,
        environment=environment,
        micros_per_second=credits_per_second * CREDIT,
    )


@dataclass(frozen=True)
class Shop:
    """A running billing process and its stubs for prices."""

    billing: Billing
    admin: "price_admin_service_pb2_grpc.PriceAdminServiceAsyncStub"
    prices: "price_service_pb2_grpc.PriceServiceAsyncStub"

    async def set(
        self, version: str, *prices: price_pb2.Price, valid_from: str | None = None
    ) -> price_pb2.PriceVersion:
        answer = await self.admin.SetPrices(
            price_admin_service_pb2.SetPricesRequest(
                version=version, valid_from=valid_from, prices=prices, audit=NOTE
            )
        )
        return answer.version

    async def refusal(
        self, version: str, *prices: price_pb2.Price, valid_from: str | None = None
    ) -> ServiceError:
        with pytest.raises(ServiceError) as refused:
            await self.set(version, *prices, valid_from=valid_from)
        return refused.value

    async def listed(self) -> list[price_pb2.PriceVersion]:
        return list((await self.prices.ListPrices(price_service_pb2.ListPricesRequest())).versions)

    async def names(self) -> list[str]:
        return [version.version for version in await self.listed()]

    async def add_long_ago(self, version: str, age: str) -> None:
        """Adds a version that sets the price of mini in live at 720p, and has done so for some time."""
        await self.billing.rows(
            """
            WITH added AS (
                INSERT INTO price_versions VALUES (%s, clock_timestamp() - CAST(%s AS interval)) RETURNING *
            )
            INSERT INTO prices SELECT version, 'mini', '720p', 'live', valid_from, 1 FROM added
            """,
            version,
            age,
        )

    async def stored(self) -> dict[str, int]:
        rows = await self.billing.rows("SELECT version, count(*) FROM prices GROUP BY version")
        return {row["version"]: row["count"] for row in rows}

    async def audited(self) -> list[tuple[Any, ...]]:
        rows = await self.billing.rows("SELECT * FROM audit WHERE action = 'prices.set' ORDER BY number")
        return [(row["actor"], row["subject_id"], row["reason"], row["details"]["prices"]) for row in rows]


FROM_FILE = ("billing", FILE_VERSION, "first start with prices.yaml", FILE_PRICE_COUNT)


@pytest.fixture
async def shop(billing: Billing) -> AsyncIterator[Shop]:
    async with open_channel(billing.running.admin_address) as channel:
        yield Shop(
            billing=billing,
            admin=price_admin_service_pb2_grpc.PriceAdminServiceStub(channel),
            prices=price_service_pb2_grpc.PriceServiceStub(channel),
        )


def edited(folder: Path, old: str, new: str) -> Path:
    text = PRICES_FILE.read_text(encoding="utf-8")
    assert old in text
    path = folder / "prices.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


async def test_the_first_start_loads_the_file(shop: Shop) -> None:
    [version] = await shop.listed()

    rates = {
        (price.model, price.resolution, price.environment): price.micros_per_second
        for price in version.prices
    }
    assert version.version == FILE_VERSION
    assert len(version.prices) == len(rates) == FILE_PRICE_COUNT
    assert rates["pro", "1080p", "live"] == rates["pro", "1080p", "test"] == 50 * CREDIT
    assert rates["mini", "480p", "live"] == 5 * CREDIT
    assert timedelta() <= utc_now() - _moment(version) < timedelta(minutes=1)
    assert await shop.audited() == [FROM_FILE]


async def test_another_start_changes_nothing_and_never_takes_an_operators_price_back(shop: Shop) -> None:
    await shop.set("2026-07", a_price())
    before = await shop.listed()

    async with running_billing(shop.billing.database_url):
        pass

    assert await shop.listed() == before
    assert len(await shop.audited()) == 2


async def test_replicas_that_start_at_once_load_it_once(make_database: MakeDatabase) -> None:
    url = make_database("billing")
    async with (
        asyncio.TaskGroup() as group,
        running_billing(url) as billing,
    ):
        for _ in range(4):
            group.create_task(_start_and_stop(url))

    assert await billing.rows("SELECT count(*) FROM prices") == [{"count": FILE_PRICE_COUNT}]
    assert await billing.rows("SELECT count(*) FROM audit") == [{"count": 1}]


async def test_a_file_with_other_prices_under_a_known_name_stops_the_start(
    shop: Shop, tmp_path: Path
) -> None:
    file = edited(tmp_path, "480p: 5,", "480p: 4,")

    with pytest.raises(ServiceError) as refused:
        await _start_and_stop(shop.billing.database_url, prices_file=file)

    assert refused.value.reason is Reason.PRICE_MISMATCH
    assert (
        refused.value.message == "Version 2026-11 was already set to other prices: choose a new version name."
    )
    assert await shop.audited() == [FROM_FILE]


async def test_a_file_with_a_new_version_is_loaded_after_the_old(shop: Shop, tmp_path: Path) -> None:
    file = edited(tmp_path, FILE_VERSION, "2026-07")

    await _start_and_stop(shop.billing.database_url, prices_file=file)

    assert await shop.names() == [FILE_VERSION, "2026-07"]


async def test_an_operators_version_holds_from_now_on_and_is_audited(shop: Shop) -> None:
    before = utc_now()

    version = await shop.set("sale", a_price(), a_price(6, resolution="480p"))

    listed = {found.version: found for found in await shop.listed()}
    assert listed["sale"] == version
    assert timedelta(seconds=-1) < _moment(version) - before < timedelta(minutes=1)
    assert await shop.audited() == [FROM_FILE, ("eve", "sale", "summer sale", 2)]


async def test_a_version_set_again_or_by_many_at_once_is_set_once(shop: Shop) -> None:
    prices = [a_price(), a_price(environment="test")]

    answers = await asyncio.gather(*(shop.set("sale", *prices) for _ in range(10)))
    later = await shop.set("sale", *reversed(prices))

    assert all(answer == later for answer in answers)
    assert (await shop.stored())["sale"] == 2
    assert len(await shop.audited()) == 2


async def test_a_version_of_the_future_is_told_beforehand_and_may_be_set_again(shop: Shop) -> None:
    moment = whole_milliseconds(utc_now() + timedelta(days=1))

    version = await shop.set("autumn", a_price(), valid_from=rfc3339(moment))
    again = await shop.set("autumn", a_price(), valid_from=rfc3339(moment))

    assert _moment(version) == moment
    assert again == version
    assert await shop.names() == [FILE_VERSION, "autumn"]


@pytest.mark.parametrize("difference", ["price", "fewer", "more", "moment"])
async def test_a_version_is_never_altered(shop: Shop, difference: str) -> None:
    first = [a_price(), a_price(environment="test")]
    await shop.set("sale", *first)
    other = {
        "price": [a_price(13), first[1]],
        "fewer": first[:1],
        "more": [*first, a_price(resolution="480p")],
        "moment": first,
    }[difference]
    moment = rfc3339(utc_now() + timedelta(days=1)) if difference == "moment" else None
    before = await shop.listed()

    refused = await shop.refusal("sale", *other, valid_from=moment)

    assert refused.reason is Reason.PRICE_MISMATCH
    assert refused.message == "Version sale was already set to other prices: choose a new version name."
    assert await shop.listed() == before
    assert len(await shop.audited()) == 2


async def test_two_versions_cannot_set_a_price_from_the_same_moment(shop: Shop) -> None:
    moment = rfc3339(utc_now() + timedelta(days=1))
    await shop.set("autumn", a_price(), valid_from=moment)

    refused = await shop.refusal("fall", a_price(1, model="pro"), a_price(13), valid_from=moment)
    beside = await shop.set("beside", a_price(1, model="pro"), valid_from=moment)

    assert refused.reason is Reason.PRICE_MISMATCH
    assert "from the same moment on" in refused.message
    assert beside.version == "beside"
    assert await shop.stored() == {FILE_VERSION: FILE_PRICE_COUNT, "autumn": 1, "beside": 1}
    assert len(await shop.audited()) == 3


PAST = "2026-01-01T00:00:00.000Z"


WRONG: list[tuple[list[price_pb2.Price], str | None, str]] = [
    ([a_price()], PAST, f'Field valid_from must not be in the past. It was "{PAST}".'),
    (
        [a_price()],
        "2099-01-01T00:00:00",
        "Field valid_from must be an ISO 8601 date and time with a time",
    ),
    ([a_price()], "soon", "Field valid_from must be an ISO 8601 date and time with a time zone"),
    (
        [a_price(), a_price(environment="test"), a_price(13)],
        None,
        'Field prices[2] repeats a price from earlier in the list. It was "mini 720p live".',
    ),
    ([], None, "Field prices must contain at least 1 item"),
    ([a_price(0)], None, "Field prices[0].micros_per_second must be greater than or equal to 1"),
    ([a_price(-1)], None, "Field prices[0].micros_per_second must be greater than or equal to 1"),
    (
        [a_price(1_000_001)],
        None,
        "Field prices[0].micros_per_second must be greater than or equal to 1 and less",
    ),
    ([a_price(resolution="4k")], None, "Field prices[0].resolution must be one of 480p, 720p, 1080p."),
    ([a_price(environment="dev")], None, "Field prices[0].environment must be one of live, test."),
    ([a_price(model="")], None, "Field prices[0].model is required and must not be empty."),
]


async def test_a_wrong_version_is_refused_and_nothing_of_it_is_kept(shop: Shop) -> None:
    for prices, valid_from, message in WRONG:
        refused = await shop.refusal("wrong", *prices, valid_from=valid_from)

        assert refused.reason is Reason.INVALID_FIELD
        assert refused.message.startswith(message)
    assert await shop.stored() == {FILE_VERSION: FILE_PRICE_COUNT}
    assert await shop.audited() == [FROM_FILE]


async def test_what_later_versions_have_wholly_replaced_is_left_out_after_a_minute(shop: Shop) -> None:
    for version, age in (("oldest", "3 hours"), ("older", "2 hours"), ("old", "30 seconds")):
        await shop.add_long_ago(version, age)
    before = await shop.names()
    await shop.set("of another", a_price(model="ultra"))

    after = await shop.names()

    assert before == ["older", "old", FILE_VERSION]
    assert after == [*before, "of another"]


async def test_the_database_itself_refuses_to_change_a_price(shop: Shop) -> None:
    for change in (
        "UPDATE prices SET micros_per_second = 1",
        "DELETE FROM prices",
        "UPDATE price_versions SET valid_from = 'epoch'",
        "TRUNCATE price_versions CASCADE",
    ):
        with pytest.raises(psycopg.errors.RestrictViolation):
            await shop.billing.rows(change)

    assert await shop.stored() == {FILE_VERSION: FILE_PRICE_COUNT}


def _moment(version: price_pb2.PriceVersion) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=version.valid_from_millis)


async def _start_and_stop(url: str, **changes: Any) -> None:
    async with running_billing(url, **changes):
        pass
