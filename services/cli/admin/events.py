"""What operators do to events that the webhooks service refused."""

from reelgate.admin.v1 import outbox_admin_service_pb2, outbox_admin_service_pb2_grpc

from services.cli.admin.channel import open_admin_channel
from services.cli.admin.records import Note, RefusedEvent, RefusedEvents
from services.cli.admin.target import AdminTarget
from services.cli.admin.wire import to_note_message, to_record


async def list_refused_events(*, events_max: int, jobs: AdminTarget) -> RefusedEvents:
    """Returns how many refused events there are, and the oldest. Raises ServiceError."""
    async with open_admin_channel(jobs) as channel:
        listed = await outbox_admin_service_pb2_grpc.OutboxAdminServiceStub(channel).ListRefusedEvents(
            outbox_admin_service_pb2.ListRefusedEventsRequest(limit=events_max), wait_for_ready=True
        )
    events = [to_record(RefusedEvent, event) for event in listed.events]
    return RefusedEvents(count=listed.refused_count, oldest=events)


async def retry_refused_events(event_id: str | None, *, note: Note, jobs: AdminTarget) -> int:
    """Has one refused event offered again, or with None the oldest. Returns how many were not due. Raises ServiceError."""
    async with open_admin_channel(jobs) as channel:
        retried = await outbox_admin_service_pb2_grpc.OutboxAdminServiceStub(channel).RetryRefusedEvents(
            outbox_admin_service_pb2.RetryRefusedEventsRequest(
                event_id=event_id, audit=to_note_message(note)
            ),
            wait_for_ready=True,
        )
    return int(retried.retried_count)
