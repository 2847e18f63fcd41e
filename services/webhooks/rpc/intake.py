"""How events enter, on the wire."""

from collections.abc import Callable
from typing import Any

from grpc.aio import ServicerContext
from reelgate.internal.intake.v1 import intake_service_pb2 as intake_pb2
from reelgate.internal.intake.v1.intake_service_pb2_grpc import IntakeServiceServicer
from typing_extensions import override

from services.webhooks.convert import parse_events
from services.webhooks.operations.accept_events import accept_events
from services.webhooks.store.events import SqlEvents


class IntakeServicer(IntakeServiceServicer):
    """How events enter."""

    def __init__(self, *, events: SqlEvents, notify: Callable[[], None], tell: Callable[[str], None]) -> None:
        self._events = events
        self._notify = notify
        self._tell = tell

    @override
    async def AcceptEvents(
        self, request: intake_pb2.AcceptEventsRequest, context: ServicerContext[Any, Any]
    ) -> intake_pb2.AcceptEventsResponse:
        batch = parse_events(request.events)
        new_count = await accept_events(batch, events=self._events, notify=self._notify, tell=self._tell)
        return intake_pb2.AcceptEventsResponse(new_count=new_count)
