"""How events enter, on the wire."""

from collections.abc import Callable
from typing import Any

from grpc.aio import ServicerContext
from reelgate.internal.intake.v1 import intake_service_pb2 as intake_pb2
from reelgate.internal.intake.v1.intake_service_pb2_grpc import IntakeServiceServicer
from typing_extensions import override

from services.webhooks.convert import parse_events
from services.webhooks.operations.accept_events import accept_events
from services.webhooks.ports import Events


class IntakeServicer(IntakeServiceServicer):
    """How events enter."""

    def __init__(self, *, events: Events, ring: Callable[[], None]) -> None:
        self._events = events
        self._ring = ring

    @override
    async def AcceptEvents(
        self, request: intake_pb2.AcceptEventsRequest, context: ServicerContext[Any, Any]
    ) -> intake_pb2.AcceptEventsResponse:
        batch = parse_events(request.events)
        new_count = await accept_events(batch, events=self._events, ring=self._ring)
        return intake_pb2.AcceptEventsResponse(new_count=new_count)
