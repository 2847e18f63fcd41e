"""A hold that cannot be changed keeps no other from it, and what is counted never keeps one from being changed."""

import asyncio
import logging

import pytest

from services.billing.duties.expire_holds import expire_holds
from services.billing.store.holds import SqlHolds
from services.common.errors import ServiceError
from services.common.postgres.database import open_pool
from tests.integration.billing.running import CREDIT, Billing

PLANT = (
    """
CREATE FUNCTION refuse_stuck() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'planted' USING ERRCODE = 'check_violation'; END $$
""",
    """
CREATE TRIGGER stuck BEFORE UPDATE ON holds FOR EACH ROW
    WHEN (old.hold_id LIKE 'stuck%%' AND new.resolved_at IS NOT NULL) EXECUTE FUNCTION refuse_stuck()
""",
)
STATES = "SELECT hold_id, state FROM holds ORDER BY hold_id"
FREE = [f"job_{number}" for number in range(20)]


async def _plant(billing: Billing, *, stuck: list[str]) -> str:
    account = await billing.account(credits_live=100)
    for hold_id in (*stuck, *FREE):
        await billing.hold(hold_id, account, CREDIT)
    for statement in PLANT:
        await billing.rows(statement)
    return account


async def _states(billing: Billing) -> dict[str, str]:
    return {row["hold_id"]: row["state"] for row in await billing.rows(STATES)}


def _named(caplog: pytest.LogCaptureFixture) -> set[str]:
    return {record.getMessage() for record in caplog.records if record.levelno == logging.ERROR}


@pytest.mark.parametrize("holds_max", [1, 2, 100])
async def test_expiry_goes_on_past_holds_that_cannot_be_changed(
    billing: Billing, caplog: pytest.LogCaptureFixture, holds_max: int
) -> None:
    stuck = ["stuck_1", "stuck_2"]
    account = await _plant(billing, stuck=stuck)
    await billing.rows(
        """UPDATE holds SET expires_at = clock_timestamp()
            - CASE WHEN hold_id LIKE 'stuck%%' THEN interval '1 hour' ELSE interval '1 minute' END"""
    )
    async with open_pool(billing.database_url, name="sweep", connections_max=1) as pool:
        holds = SqlHolds(pool)
        for _ in range(len(stuck) + len(FREE)):
            await holds.expire(holds_max=holds_max)
        done_again = await expire_holds(holds).run_once()

    assert await _states(billing) == {**dict.fromkeys(FREE, "expired"), **dict.fromkeys(stuck, "provisional")}
    assert await billing.balance(account) == (98 * CREDIT, 2 * CREDIT)
    assert {f"batch=expire_holds item={hold_id} fails alone" for hold_id in stuck} == _named(caplog)
    assert done_again == 0


async def test_neighbours_of_a_batch_are_changed_and_the_one_is_alerted(
    billing: Billing, caplog: pytest.LogCaptureFixture
) -> None:
    account = await _plant(billing, stuck=["stuck_1"])

    answers = await asyncio.gather(
        *(billing.release(hold_id) for hold_id in (*FREE, "stuck_1")), return_exceptions=True
    )

    assert [
        hold_id
        for hold_id, answer in zip((*FREE, "stuck_1"), answers, strict=True)
        if isinstance(answer, ServiceError)
    ] == ["stuck_1"]
    assert "batch=change_holds item=stuck_1 fails alone" in _named(caplog)
    assert await billing.balance(account) == (99 * CREDIT, CREDIT)


@pytest.mark.parametrize("how", ["release", "capture", "expire"])
async def test_a_counter_that_has_less_than_is_given_back_does_not_stop_the_ledger(
    billing: Billing, how: str
) -> None:
    account = await billing.account(credits_live=10)
    await billing.hold("job_1", account, 5 * CREDIT)
    # As after a clock that stepped back over midnight and on again: the day was begun anew.
    await billing.rows("UPDATE spending SET day_micros = 1, month_micros = 2")

    if how == "release":
        await billing.release("job_1")
    elif how == "capture":
        await billing.capture("job_1", CREDIT)
    else:
        await billing.let_time_run_out("job_1")
        await billing.sweep()

    left = 9 if how == "capture" else 10
    assert await billing.balance(account) == (left * CREDIT, 0)
    [row] = await billing.rows(
        "SELECT day_micros, month_micros FROM spending WHERE subject_id = %s AND environment = 'live'",
        account,
    )
    assert row == {"day_micros": 0, "month_micros": 0}
