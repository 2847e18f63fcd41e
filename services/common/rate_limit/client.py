"""Slots for calls, leased at the billing service."""

from collections.abc import Sequence

from grpc import aio
from reelgate.internal.limits.v1 import limit_service_pb2
from reelgate.internal.limits.v1.limit_service_pb2_grpc import LimitServiceStub

from services.common.rate_limit.protocol import CallLease, CallReport, Leased, Moments

LEASE_TIMEOUT_SECONDS = 3.0


class LimitClient:
    """Leases slots at the billing service."""

    def __init__(self, channel: aio.Channel) -> None:
        self._stub = LimitServiceStub(channel)

    async def lease(self, holder: str, turn: int, reports: Sequence[CallReport]) -> Leased:
        """See LeaseCalls. Raises ServiceError."""
        request = limit_service_pb2.LeaseCallsRequest(
            holder=holder, turn=turn, reports=[_report(report) for report in reports]
        )
        answer = await self._stub.LeaseCalls(request, timeout=LEASE_TIMEOUT_SECONDS)
        return Leased(now_us=answer.now_us, leases={lease.key_id: _lease(lease) for lease in answer.leases})


def _report(report: CallReport) -> limit_service_pb2.CallReport:
    return limit_service_pb2.CallReport(**{**vars(report), "used": _to_message(report.used)})


def _to_message(moments: Moments) -> limit_service_pb2.Moments:
    return limit_service_pb2.Moments(
        at_us=[moment for moment, _ in moments], counts=[count for _, count in moments]
    )


def _lease(lease: limit_service_pb2.CallLease) -> CallLease:
    return CallLease(
        slots=tuple(zip(lease.slots.at_us, lease.slots.counts, strict=True)),
        until_us=lease.until_us,
        calls_per_minute=lease.calls_per_minute,
        free_count=lease.free_count,
        next_free_us=lease.next_free_us,
        spare_count=lease.spare_count,
        elsewhere_count=lease.elsewhere_count,
    )
