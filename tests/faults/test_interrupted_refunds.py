"""A refund whose process dies anywhere, or that finds billing away, is made in the end, and once."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from services.common.audit.note import AuditNote
from services.common.clock import utc_now
from services.common.errors import Reason, ServiceError
from services.common.postgres.database import Pool, open_pool
from services.jobs.domain.states import Status
from services.jobs.duties.settle_refunds import REFUNDS_MAX, settle_refunds
from services.jobs.operations.refunds import refund_job
from services.jobs.store.jobs import SqlJobs
from services.jobs.store.queue.work import SqlWork
from services.jobs.store.refunds import Refund, SqlRefunds, WantedRefund
from tests.conftest import MakeDatabase
from tests.fakes.upstream import MemoryLedger
from tests.unit.jobs.samples import JOB

AMOUNT = 30_000_000
WANTED = WantedRefund(
    refund_id="r1",
    job_id=JOB.id,
    amount_micros=AMOUNT,
    note=AuditNote(actor="ops@example", reason="flicker"),
)


@dataclass
class Till:
    """A completed job in a real database, and a ledger."""

    pool: Pool
    refunds: SqlRefunds
    ledger: MemoryLedger = field(default_factory=MemoryLedger)

    async def die_after(self, steps: int) -> None:
        """Takes the first steps of a refund and no more, as a process that is killed does."""
        if steps >= 1:
            registered = await self.refunds.register(WANTED)
            assert isinstance(registered, Refund)
        if steps >= 2:
            await self.ledger.refund("r1", hold_id=JOB.id, amount_micros=AMOUNT, reason=WANTED.note.reason)
        if steps >= 3:
            await self.refunds.apply("r1", job_id=JOB.id)

    async def call_again(self) -> None:
        """The operator repeats the call."""
        await refund_job(WANTED, refunds=self.refunds, ledger=self.ledger)

    async def wait(self) -> None:
        """A worker goes on with what was left, once its own time is over."""
        await self.sql("UPDATE refunds SET due_at = now()")
        await settle_refunds(refunds=self.refunds, ledger=self.ledger).run_once()

    async def sql(self, statement: str) -> list[dict[str, Any]]:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(statement.encode())
            return await cursor.fetchall() if cursor.description else []

    async def assert_refunded_once(self) -> None:
        """Billing, the job, usage and the record all know of one refund."""
        assert self.ledger.refunds == {"r1": (JOB.id, AMOUNT, "flicker")}
        assert await self.sql("SELECT returned_micros FROM jobs") == [{"returned_micros": AMOUNT}]
        for table in ("usage_daily", "usage_hourly"):
            assert await self.sql(f"SELECT refunded_micros FROM {table}") == [{"refunded_micros": AMOUNT}]
        assert await self.sql("SELECT refund_id FROM refunds WHERE applied_at IS NULL") == []
        assert await self.sql("SELECT action FROM audit") == [{"action": "job.refund"}]


@pytest.fixture
async def till(make_database: MakeDatabase) -> AsyncIterator[Till]:
    async with open_pool(make_database("jobs"), name="test", connections_max=4) as pool:
        made = Till(pool=pool, refunds=SqlRefunds(pool))
        work = SqlWork(pool)
        await SqlJobs(pool).create(replace(JOB, created_at=utc_now()))
        await made.ledger.hold(JOB.id, owner=JOB.owner, key_id="key_1", amount_micros=JOB.reserved_micros)
        await made.ledger.capture(JOB.id, amount_micros=JOB.reserved_micros)
        [claim] = await work.claim(limit=1, lease_seconds=60)
        ended = replace(JOB, status=Status.COMPLETED, charged_micros=JOB.reserved_micros, ended_at=utc_now())
        await work.finish(claim, ended, event=None)
        yield made


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
async def test_a_refund_that_died_is_made_once_when_it_is_asked_for_again(till: Till, steps: int) -> None:
    await till.die_after(steps)

    await till.call_again()
    await till.wait()
    await till.call_again()

    await till.assert_refunded_once()


@pytest.mark.parametrize("steps", [1, 2, 3])
async def test_a_refund_that_died_is_made_once_although_nobody_asks_again(till: Till, steps: int) -> None:
    await till.die_after(steps)

    await till.wait()
    await till.wait()

    await till.assert_refunded_once()


async def test_a_refund_in_somebodys_hands_is_left_to_them(till: Till) -> None:
    await till.die_after(1)

    assert await settle_refunds(refunds=till.refunds, ledger=till.ledger).run_once() == 0
    assert till.ledger.refunds == {}


async def test_a_refund_that_found_billing_away_is_made_when_it_is_back(till: Till) -> None:
    till.ledger.outage = ServiceError(Reason.UNAVAILABLE, "billing is down")
    with pytest.raises(ServiceError):
        await till.call_again()
    await till.wait()
    waiting = await till.refunds.take_due(limit=REFUNDS_MAX)
    left = await till.sql("SELECT returned_micros FROM jobs")

    till.ledger.outage = None
    await till.wait()

    assert (waiting, left) == ([], [{"returned_micros": 0}])
    await till.assert_refunded_once()


async def test_a_refund_under_way_is_counted_to_what_is_no_longer_left(till: Till) -> None:
    await till.die_after(1)

    with pytest.raises(ServiceError) as refused:
        await refund_job(
            replace(WANTED, refund_id="r2", amount_micros=JOB.reserved_micros - AMOUNT + 1),
            refunds=till.refunds,
            ledger=till.ledger,
        )

    assert refused.value.reason is Reason.REFUND_ABOVE_CHARGE
