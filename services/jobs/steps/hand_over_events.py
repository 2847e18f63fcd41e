"""Outbox to webhooks: events leave, and are forgotten only when they have been taken over."""

from services.jobs.ports import Intake, Outbox

EVENTS_MAX = 100
"""A body is at most about 20 KiB, so a batch stays well below the 4 MiB of a gRPC message."""


async def hand_over_events(*, outbox: Outbox, intake: Intake) -> int:
    """Hands the oldest events over. Returns 0 unless there may be more. A crash in between hands them over again."""
    events = await outbox.oldest(limit=EVENTS_MAX)
    if events:
        await intake.accept(events)
        await outbox.remove([event.event_id for event in events])
    return len(events) if len(events) == EVENTS_MAX else 0
