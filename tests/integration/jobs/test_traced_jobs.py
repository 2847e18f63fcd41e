"""A job keeps its trace until its last event has left, whichever worker has it; most jobs have none."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from typing_extensions import override

from services.common.postgres.database import Pool
from services.common.telemetry.tracing import ATTRIBUTES, traceparent
from services.jobs.domain.events import OutboxEvent
from services.jobs.duties.relay_events import batches, relay_events
from services.jobs.ports import Intake
from services.jobs.store.outbox import SqlOutbox
from tests.integration.jobs.conftest import OWNER, a_job
from tests.integration.jobs.world import World, open_world
from tests.spans import SAMPLED, TRACE, parent_of, spans_kept

JOB = replace(
    a_job(), id=f"job_{1:026d}", owner=replace(OWNER, contract="nextapi"), model="seedance-2.0-mini"
)
TRACED = replace(JOB, traceparent=SAMPLED)


@dataclass
class Taking(Intake):
    """Notes to which trace each batch belongs."""

    batches: list[tuple[str, list[int]]] = field(default_factory=list)

    @override
    async def accept(self, events: Sequence[OutboxEvent]) -> None:
        self.batches.append((traceparent.get(), [event.sequence for event in events]))


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    traceparent.set("")
    with spans_kept() as kept:
        yield kept


async def walk_to_the_end(world: World) -> None:
    while await world.state() is not None:
        await world.sql("UPDATE work SET lease_until = '-infinity', due_at = now()")
        # Another worker each time.
        walker = world.walker()
        await walker.claim_once()
        await walker.drain()


async def test_every_step_of_a_traced_job_is_a_span_whichever_worker_takes_it(
    jobs_pool: Pool, spans: InMemorySpanExporter
) -> None:
    world = await open_world(jobs_pool, TRACED)

    await walk_to_the_end(world)

    found = spans.get_finished_spans()
    assert {each.name for each in found} == {
        "step begin_if_there_is_room",
        "step submit",
        "step check",
        "step complete",
    }
    for each in found:
        assert each.attributes is not None
        assert parent_of(each) == SAMPLED[36:52]
        assert each.attributes[ATTRIBUTES["job"]] == TRACED.id


async def test_the_events_of_a_traced_job_are_handed_over_in_its_trace(
    jobs_pool: Pool, spans: InMemorySpanExporter
) -> None:
    world, intake = await open_world(jobs_pool, TRACED), Taking()
    await walk_to_the_end(world)

    await relay_events(outbox=SqlOutbox(jobs_pool), intake=intake).run_once()

    [(header, sequences)] = intake.batches
    assert header[3:35] == TRACE
    assert header != SAMPLED
    assert sequences == [1, 2, 3]
    assert await SqlOutbox(jobs_pool).oldest(limit=10) == []


async def test_a_job_without_a_trace_makes_no_span(jobs_pool: Pool, spans: InMemorySpanExporter) -> None:
    world, intake = await open_world(jobs_pool, JOB), Taking()
    await walk_to_the_end(world)

    await relay_events(outbox=SqlOutbox(jobs_pool), intake=intake).run_once()

    assert not spans.get_finished_spans()
    assert intake.batches == [("", [1, 2, 3])]


def an_event(number: int, job_id: str, *, traced: bool) -> OutboxEvent:
    return OutboxEvent(
        event_id=f"evt_{number}",
        job_id=job_id,
        owner=OWNER,
        type="t",
        sequence=number,
        target_url="",
        body=b"{}",
        occurred_at=JOB.created_at,
        traceparent=SAMPLED if traced else None,
    )


def test_the_events_of_one_job_stay_together_and_in_order() -> None:
    plain, other = an_event(1, "job_1", traced=False), an_event(4, "job_2", traced=False)
    # Written by a worker of the release before, which knows no traces.
    early, late = an_event(2, "job_3", traced=False), an_event(3, "job_3", traced=True)

    assert batches([plain, early, late, other]) == [[plain, other], [early, late]]
    assert batches([plain, other]) == [[plain, other]]
    assert batches([]) == []
