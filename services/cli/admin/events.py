"""What operators do to events that the webhooks service refused or lost. Every function raises ServiceError."""

from collections.abc import AsyncIterator

from reelgate.admin.v1 import outbox_admin_service_pb2 as pb
from reelgate.admin.v1.audit_pb2 import AuditNote
from reelgate.admin.v1.outbox_admin_service_pb2_grpc import OutboxAdminServiceStub

from services.cli.admin.channel import call, open_admin_channel
from services.cli.admin.target import AdminTarget


async def list_refused_events(*, events_max: int, jobs: AdminTarget) -> pb.ListRefusedEventsResponse:
    """Returns how many refused events there are, and the oldest of them."""
    request = pb.ListRefusedEventsRequest(page_size=events_max)
    return await call(jobs, lambda channel: OutboxAdminServiceStub(channel).ListRefusedEvents, request)


async def retry_refused_events(event_id: str | None, *, note: AuditNote, jobs: AdminTarget) -> int:
    """Makes one refused event due again, or the oldest ones when None. Returns how many were not due yet."""
    request = pb.RetryRefusedEventsRequest(event_id=event_id, audit=note)
    retried = await call(jobs, lambda channel: OutboxAdminServiceStub(channel).RetryRefusedEvents, request)
    return retried.retried_count


async def hand_over_events(since: str, *, note: AuditNote, jobs: AdminTarget) -> AsyncIterator[int]:
    """Has the ends of jobs since a moment offered once more. Yields how many were of each page."""
    request, more = pb.HandOverEventsRequest(since=since, audit=note), True
    async with open_admin_channel(jobs) as channel:
        while more:
            page = await OutboxAdminServiceStub(channel).HandOverEvents(request, wait_for_ready=True)
            yield page.handed_over_count
            request.page_token, more = page.next_page_token, bool(page.next_page_token)
