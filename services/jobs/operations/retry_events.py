"""Offering refused events again, at once."""

from services.common.audit.note import AuditNote
from services.jobs.refusals import event_not_refused
from services.jobs.store.refused_events import SqlRefusedEvents


async def retry_events(event_id: str | None, *, note: AuditNote, events: SqlRefusedEvents) -> int:
    """Makes one refused event due, or with None the oldest of them. Returns how many were not due before.

    Refuses with EVENT_NOT_FOUND when the one that is named does not wait.
    """
    retried_count = await events.retry(event_id, note=note)
    if event_id is not None and not retried_count and not await events.waits(event_id):
        raise event_not_refused(event_id)
    return retried_count
