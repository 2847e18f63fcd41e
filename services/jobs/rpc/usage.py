"""Usage on the wire, for those who pay."""

from typing import Any

from grpc.aio import ServicerContext
from reelgate.usage.v1 import usage_service_pb2, usage_service_pb2_grpc
from typing_extensions import override

from services.common.clock import Clock
from services.jobs.convert.usage import parse_get_usage, render_usage
from services.jobs.operations.get_usage import get_usage
from services.jobs.ports import Jobs
from services.jobs.rpc.calls import owner

Context = ServicerContext[Any, Any]


class UsageServicer(usage_service_pb2_grpc.UsageServiceServicer):
    """Usage, for those who pay."""

    def __init__(self, *, jobs: Jobs, clock: Clock) -> None:
        self._jobs = jobs
        self._clock = clock

    @override
    async def GetUsage(
        self, request: usage_service_pb2.GetUsageRequest, context: Context
    ) -> usage_service_pb2.GetUsageResponse:
        start, end, days_max = parse_get_usage(request, now=self._clock())
        usage = await get_usage(owner=owner(), start=start, end=end, days_max=days_max, jobs=self._jobs)
        return usage_service_pb2.GetUsageResponse(data=render_usage(usage))
