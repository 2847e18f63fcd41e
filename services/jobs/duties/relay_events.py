"""Hands events over from the outbox to the webhooks service, and deletes those that it accepted."""

import asyncio
import logging
from collections.abc import Sequence
from functools import partial

from services.common.errors import ServiceError
from services.common.loop import Duty
from services.jobs.domain.events import OutboxEvent
from services.jobs.ports import Intake
from services.jobs.store.outbox import SqlOutbox

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
    return Duty("relay", partial(_relay, outbox, intake), idle_seconds=IDLE_SECONDS, wake=wake)


async def _relay(outbox: SqlOutbox, intake: Intake) -> int:
    events = await outbox.oldest(limit=EVENTS_MAX)
    if events:
        try:
            await intake.accept(events)
            await outbox.remove([event.event_id for event in events])
        except ServiceError as error:
            if _is_outage(error):
                raise
            await _one_by_one(events, outbox=outbox, intake=intake)
    return len(events) if len(events) == EVENTS_MAX else 0


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
