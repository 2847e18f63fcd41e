"""Hands events over from the outbox to the webhooks service, and deletes those that it accepted."""

import asyncio
import logging
from collections.abc import Sequence
from functools import partial

from services.common.errors import ServiceError
from services.common.loop import Duty
from services.common.telemetry.tracing import span
from services.jobs.domain.events import OutboxEvent
from services.jobs.ports import Intake
from services.jobs.store.outbox import SqlOutbox
from services.jobs.timing import WALK_REST_SECONDS

log = logging.getLogger(__name__)

EVENTS_MAX = 100
"""A body is at most about 20 KiB, so a batch stays well below the 4 MiB of a gRPC message."""
ASIDE_SECONDS = 3600.0
"""How long a refused event waits before it is offered again."""
SERVER_ERROR = 500
IDLE_SECONDS = 1.0


def relay_events(*, outbox: SqlOutbox, intake: Intake, wake: asyncio.Event | None = None) -> Duty:
    """Returns the duty, oldest events first. After a crash in between, the same events are handed over again.

    If a batch is refused, each of its events is offered alone, and those that are refused are set aside.
    """
    return Duty(
        "relay",
        partial(_relay, outbox, intake),
        idle_seconds=IDLE_SECONDS,
        wake=wake,
        rest_seconds=WALK_REST_SECONDS,
    )


async def _relay(outbox: SqlOutbox, intake: Intake) -> int:
    events = await outbox.oldest(limit=EVENTS_MAX)
    for batch in batches(events):
        parent = next((event.traceparent for event in batch if event.traceparent), None)
        with span("relay events", parent=parent, job=batch[0].job_id):
            await _hand_over(batch, outbox=outbox, intake=intake)
    return len(events) if len(events) == EVENTS_MAX else 0


def batches(events: Sequence[OutboxEvent]) -> list[Sequence[OutboxEvent]]:
    """Returns what is handed over together: those of each traced job, and all others. A job's stay in their order."""
    traced: dict[str, list[OutboxEvent]] = {event.job_id: [] for event in events if event.traceparent}
    others: list[OutboxEvent] = []
    for event in events:
        traced.get(event.job_id, others).append(event)
    return [batch for batch in (others, *traced.values()) if batch]


async def _hand_over(events: Sequence[OutboxEvent], *, outbox: SqlOutbox, intake: Intake) -> None:
    try:
        await intake.accept(events)
        await outbox.remove([event.event_id for event in events])
    except ServiceError as error:
        if _is_outage(error):
            raise
        await _one_by_one(events, outbox=outbox, intake=intake)


async def _one_by_one(events: Sequence[OutboxEvent], *, outbox: SqlOutbox, intake: Intake) -> None:
    refused_jobs: set[str] = set()
    for event in events:
        if event.job_id in refused_jobs:
            continue
        try:
            await intake.accept([event])
            await outbox.remove([event.event_id])
        except ServiceError as error:
            if _is_outage(error):
                raise
            refused_jobs.add(event.job_id)
            await outbox.set_aside(
                event.event_id, refusal=f"{error.reason}: {error.message}", seconds=ASIDE_SECONDS
            )
            log.error("event=%s set aside reason=%s %s", event.event_id, error.reason, error.message)  # noqa: TRY400


def _is_outage(error: ServiceError) -> bool:
    return error.status.http >= SERVER_ERROR
