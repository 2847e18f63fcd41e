"""Single holds on the wire, for operators."""

from typing import Any

from grpc.aio import ServicerContext
from reelgate.admin.v1 import hold_admin_service_pb2, hold_admin_service_pb2_grpc
from typing_extensions import override

from services.billing.store.holds import SqlHolds
from services.common.audit.servicer import parse_note

Context = ServicerContext[Any, Any]


class HoldAdminServicer(hold_admin_service_pb2_grpc.HoldAdminServiceServicer):
    """Single holds, for operators."""

    def __init__(self, *, holds: SqlHolds) -> None:
        self._holds = holds

    @override
    async def ReleaseHold(
        self, request: hold_admin_service_pb2.ReleaseHoldRequest, context: Context
    ) -> hold_admin_service_pb2.ReleaseHoldResponse:
        given_back_micros = await self._holds.give_back(request.hold_id, note=parse_note(request.audit))
        return hold_admin_service_pb2.ReleaseHoldResponse(given_back_micros=given_back_micros)
