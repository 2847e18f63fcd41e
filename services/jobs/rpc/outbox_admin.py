"""Events on their way to the webhooks service on the wire, for operators."""

from typing import Any

from grpc.aio import ServicerContext
from reelgate.admin.v1 import outbox_admin_service_pb2, outbox_admin_service_pb2_grpc
from typing_extensions import override

from services.common.audit.servicer import parse_note
from services.common.clock import parse_moment, rfc3339
from services.common.paging import cut, moment_in, moment_token, page_size
from services.common.rpc.enums import environment_value
from services.jobs.operations.hand_over_events import Teller
from services.jobs.operations.retry_events import retry_events
from services.jobs.store.refused_events import RefusedEvent, SqlRefusedEvents

Context = ServicerContext[Any, Any]


class OutboxAdminServicer(outbox_admin_service_pb2_grpc.OutboxAdminServiceServicer):
    """Refused and lost events, for operators."""

    def __init__(self, *, events: SqlRefusedEvents, teller: Teller) -> None:
        self._events = events
        self._teller = teller

    @override
    async def ListRefusedEvents(
        self, request: outbox_admin_service_pb2.ListRefusedEventsRequest, context: Context
    ) -> outbox_admin_service_pb2.ListRefusedEventsResponse:
        size = page_size(request.page_size)
        found = await self._events.oldest(after=moment_in(request.page_token), limit=size + 1)
        page, token = cut(found, size, lambda event: moment_token(event.occurred_at, event.event_id))
        return outbox_admin_service_pb2.ListRefusedEventsResponse(
            events=map(_render_refused, page), refused_count=await self._events.count(), next_page_token=token
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

    @override
    async def HandOverEvents(
        self, request: outbox_admin_service_pb2.HandOverEventsRequest, context: Context
    ) -> outbox_admin_service_pb2.HandOverEventsResponse:
        done = await self._teller.hand_over(
            parse_moment("since", request.since), request.page_token, note=parse_note(request.audit)
        )
        return outbox_admin_service_pb2.HandOverEventsResponse(
            handed_over_count=done.events_count, next_page_token=done.next_page_token
        )


def _render_refused(event: RefusedEvent) -> outbox_admin_service_pb2.RefusedEvent:
    moments = {"occurred_at": rfc3339(event.occurred_at), "due_at": rfc3339(event.due_at)}
    return outbox_admin_service_pb2.RefusedEvent(
        **{**vars(event), **moments, "environment": environment_value(event.environment)}
    )
