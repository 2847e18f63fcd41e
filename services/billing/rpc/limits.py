"""Limits of calls on the wire, for the services that hold them."""

from typing import Any

from grpc.aio import ServicerContext
from reelgate.internal.limits.v1 import limit_service_pb2, limit_service_pb2_grpc
from typing_extensions import override

from services.billing.convert import parse_call_report, render_leased
from services.billing.operations.lease_calls import lease_calls
from services.billing.store.call_limits import SqlCallLimits

Context = ServicerContext[Any, Any]


class LimitServicer(limit_service_pb2_grpc.LimitServiceServicer):
    """Limits of calls, for the services that hold them."""

    def __init__(self, *, limits: SqlCallLimits) -> None:
        self._limits = limits

    @override
    async def LeaseCalls(
        self, request: limit_service_pb2.LeaseCallsRequest, context: Context
    ) -> limit_service_pb2.LeaseCallsResponse:
        leased = await lease_calls(
            request.holder,
            request.turn,
            [parse_call_report(report) for report in request.reports],
            limits=self._limits,
        )
        return render_leased(leased)
