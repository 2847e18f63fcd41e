"""Credits that moved are counted: each movement once, whoever asks for it how often, and whoever gives them back."""

import asyncio
from collections.abc import Mapping

import pytest

from services.billing.metrics import MOVEMENTS
from services.billing.store.holds import SqlHolds
from services.common.audit.note import AuditNote
from services.common.errors import ServiceError
from services.common.postgres.database import open_pool
from tests.integration.billing.running import CREDIT, Billing
from tests.metric_values import value


def _moved() -> Mapping[str, float]:
    return {
        f"{environment} {movement}": value(
            "reelgate_credits_total", movement=movement, environment=environment
        )
        for movement in MOVEMENTS
        for environment in ("live", "test")
    }


class Since:
    """What moved since it was made."""

    def __init__(self) -> None:
        self._before = _moved()

    def moved(self) -> dict[str, float]:
        return {
            name: amount - self._before[name]
            for name, amount in _moved().items()
            if amount > self._before[name]
        }


async def test_a_job_that_costs_less_than_was_held_releases_the_rest(billing: Billing) -> None:
    account = await billing.account(credits_live=100)
    since = Since()

    for _ in range(2):  # each request may be repeated
        await billing.hold("job_1", account, 40 * CREDIT)
        await billing.confirm("job_1")
    for _ in range(2):
        await billing.capture("job_1", 30 * CREDIT)
        await billing.hold("job_1", account, 40 * CREDIT)
    for part in ("refund_1", "refund_1", "refund_2"):
        await billing.refund(part, "job_1", 10 * CREDIT)

    assert since.moved() == {
        "live held": 40,
        "live captured": 30,
        "live released": 10,
        "live refunded": 20,
    }


async def test_calls_that_share_a_batch_are_counted_once(billing: Billing) -> None:
    account = await billing.account(credits_live=100)
    since = Since()

    await asyncio.gather(*(billing.hold("job_1", account, CREDIT) for _ in range(10)))
    await asyncio.gather(*(billing.release("job_1") for _ in range(10)))

    assert since.moved() == {"live held": 1, "live released": 1}


async def test_what_is_refused_moves_nothing_and_test_credits_are_apart(billing: Billing) -> None:
    account = await billing.account(credits_live=1)
    since = Since()

    with pytest.raises(ServiceError):
        await billing.hold("job_1", account, 2 * CREDIT)
    await billing.hold("job_2", account, 3 * CREDIT, environment="test")

    assert since.moved() == {"test held": 3}


async def test_what_runs_out_or_an_operator_gives_back_is_counted_too(billing: Billing) -> None:
    account = await billing.account(credits_live=100)
    for number in range(3):
        await billing.hold(f"job_{number}", account, 10 * CREDIT)
    await billing.capture("job_2", 10 * CREDIT)
    await billing.let_time_run_out("job_0")
    since = Since()

    await billing.sweep()
    async with open_pool(billing.database_url, name="operator", connections_max=1) as pool:
        for job in ("job_0", "job_1", "job_1", "job_2", "job_2"):
            await SqlHolds(pool).give_back(job, note=AuditNote(actor="ada", reason="drill"))

    assert since.moved() == {"live expired": 10, "live released": 10, "live refunded": 10}
