from collections.abc import Callable, Sequence

from services.common.telemetry.tracing import kept_traceparent
from services.webhooks.domain import Event
from services.webhooks.store.events import SqlEvents


async def accept_events(
    batch: Sequence[Event], *, events: SqlEvents, notify: Callable[[], None], tell: Callable[[str], None]
) -> int:
    """Takes events over: afterwards each will be delivered or shown as undeliverable. Returns how many were new.

    Repeating it changes nothing. Of a job's events the earlier must come in the same batch or before. `tell` is given
    each listener that has something new.
    """
    distinct = list({event.event_id: event for event in batch}.values())
    taken = await events.accept(distinct, traceparent=kept_traceparent())
    if taken.new_count:
        notify()
    for listener_id in taken.told:
        tell(listener_id)
    return taken.new_count
