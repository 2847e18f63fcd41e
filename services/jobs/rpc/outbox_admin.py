"""Refused events on the wire, for operators."""

from typing import Any

from grpc.aio import ServicerContext
from reelgate.admin.v1 import outbox_admin_service_pb2, outbox_admin_service_pb2_grpc
from typing_extensions import override

from services.common.audit.servicer import parse_note
from services.common.clock import rfc3339
from services.jobs.operations.retry_events import retry_events
from services.jobs.store.refused_events import RefusedEvent, SqlRefusedEvents

Context = ServicerContext[Any, Any]

EVENTS_LIMIT_DEFAULT = 100


class OutboxAdminServicer(outbox_admin_service_pb2_grpc.OutboxAdminServiceServicer):
    """Refused events, for operators."""

    def __init__(self, *, events: SqlRefusedEvents) -> None:
        self._events = events

    @override
    async def ListRefusedEvents(
        self, request: outbox_admin_service_pb2.ListRefusedEventsRequest, context: Context
    ) -> outbox_admin_service_pb2.ListRefusedEventsResponse:
        found = await self._events.oldest(limit=request.limit or EVENTS_LIMIT_DEFAULT)
        return outbox_admin_service_pb2.ListRefusedEventsResponse(
            events=map(_render_refused, found), refused_count=await self._events.count()
        )

    @override
    async def RetryRefusedEvents(
        self, request: outbox_admin_service_pb2.RetryRefusedEventsRequest, context: Context
    ) -> outbox_admin_service_pb2.RetryRefusedEventsResponse:
        retried_count = await retry_events(
            request.event_id if request.HasField("event_id") else None,
            note=parse_note(request.audit),
            events=self._events,
        )
        return outbox_admin_service_pb2.RetryRefusedEventsResponse(retried_count=retried_count)


def _render_refused(event: RefusedEvent) -> outbox_admin_service_pb2.RefusedEvent:
    moments = {"occurred_at": rfc3339(event.occurred_at), "due_at": rfc3339(event.due_at)}
    return outbox_admin_service_pb2.RefusedEvent(**{**vars(event), **moments})
