"""Events leave by their time, whatever they are called, and one that is refused keeps no other."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from typing_extensions import override

from services.common.errors import Reason, ServiceError
from services.common.postgres.database import Pool
from services.jobs.domain.events import OutboxEvent
from services.jobs.duties.relay_events import relay_events
from services.jobs.ports import Intake
from services.jobs.store.outbox import SqlOutbox

FILL = """
    INSERT INTO outbox (event_id, job_id, account_id, environment, contract, type, sequence, target_url, body,
        occurred_at, due_at)
    SELECT event_id, job_id, 'acct_1', 'live', 'nextapi', 't', sequence, '', '', now(), now() - age * interval '1 s'
    FROM (VALUES ('a', 'vid_3', 1, 1), ('b', 'job_1', 1, 3), ('c', 'job_1', 2, 2), ('d', 'vid_2', 1, 4))
        AS event (event_id, job_id, sequence, age);
"""


@dataclass
class FussyIntake(Intake):
    """Refuses whole batches because of some events, as validation does."""

    refused: set[str] = field(default_factory=set)
    reason: Reason = Reason.INVALID_FIELD
    taken: list[str] = field(default_factory=list)

    @override
    async def accept(self, events: Sequence[OutboxEvent]) -> None:
        ids = [event.event_id for event in events]
        if self.refused & set(ids):
            raise ServiceError(self.reason, "no")
        self.taken += ids


@pytest.fixture
async def outbox(jobs_pool: Pool) -> SqlOutbox:
    async with jobs_pool.connection() as connection:
        await connection.execute(FILL.encode())
    return SqlOutbox(jobs_pool)


async def left(pool: Pool) -> list[tuple[str, str | None]]:
    async with pool.connection() as connection:
        rows = await (
            await connection.execute("SELECT event_id, refusal FROM outbox ORDER BY event_id")
        ).fetchall()
    return [(row["event_id"], row["refusal"]) for row in rows]


async def test_events_leave_in_the_order_in_which_they_were_written(outbox: SqlOutbox) -> None:
    intake = FussyIntake()

    await relay_events(outbox=outbox, intake=intake).run_once()

    assert intake.taken == ["d", "b", "c", "a"]


async def test_a_refused_event_is_set_aside_with_those_of_its_job_and_no_others(
    outbox: SqlOutbox, jobs_pool: Pool
) -> None:
    intake = FussyIntake(refused={"b"})

    for _ in range(2):
        await relay_events(outbox=outbox, intake=intake).run_once()

    assert intake.taken == ["d", "a"]
    assert await left(jobs_pool) == [("b", "INVALID_FIELD: no"), ("c", None)]


async def test_what_was_set_aside_is_offered_again_later_and_in_order(
    outbox: SqlOutbox, jobs_pool: Pool
) -> None:
    intake = FussyIntake(refused={"b"})
    await relay_events(outbox=outbox, intake=intake).run_once()
    intake.refused = set()
    async with jobs_pool.connection() as connection:
        await connection.execute("UPDATE outbox SET due_at = now() WHERE event_id = 'b'")

    for _ in range(2):
        await relay_events(outbox=outbox, intake=intake).run_once()

    assert intake.taken[2:] == ["b", "c"]
    assert await left(jobs_pool) == []


async def test_an_outage_sets_nothing_aside(outbox: SqlOutbox, jobs_pool: Pool) -> None:
    with pytest.raises(ServiceError):
        await relay_events(
            outbox=outbox, intake=FussyIntake(refused={"b"}, reason=Reason.UNAVAILABLE)
        ).run_once()

    assert {refusal for _, refusal in await left(jobs_pool)} == {None}
