from collections.abc import Callable, Sequence

from services.common.telemetry.tracing import kept_traceparent
from services.webhooks.domain import Event
from services.webhooks.store.events import SqlEvents


async def accept_events(batch: Sequence[Event], *, events: SqlEvents, notify: Callable[[], None]) -> int:
    """Takes events over: afterwards each will be delivered or shown as undeliverable. Returns how many were new.

    Repeating it changes nothing. Of a job's events the earlier must come in the same batch or before.
    """
    distinct = list({event.event_id: event for event in batch}.values())
    new_count = await events.accept(distinct, traceparent=kept_traceparent())
    if new_count:
        notify()
    return new_count
