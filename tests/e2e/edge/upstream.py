"""The services behind the edge: a real gRPC server that notes what reaches it and answers what a test wants."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from google.api.httpbody_pb2 import HttpBody
from google.protobuf.message import Message
from grpc.aio import ServicerContext
from reelgate.billing.v1 import billing_service_pb2, billing_service_pb2_grpc
from reelgate.callback.v1 import callback_service_pb2, callback_service_pb2_grpc
from reelgate.internal.keys.v1 import key_service_pb2, key_service_pb2_grpc
from reelgate.models.v1 import models_service_pb2, models_service_pb2_grpc
from reelgate.nextapi.v1 import job_pb2, job_service_pb2, job_service_pb2_grpc
from reelgate.usage.v1 import usage_service_pb2, usage_service_pb2_grpc
from reelgate.video.v1 import video_service_pb2, video_service_pb2_grpc
from typing_extensions import override

from services.common.rpc.blanks import without_blanks
from services.common.rpc.bounds import bounded
from services.common.rpc.exactness import exact
from services.common.rpc.interceptors import errors_mapped, metadata_of
from services.common.rpc.server import Port, serve
from services.common.rpc.validation import validated

Context = ServicerContext[Any, Any]
Handler = Callable[[Any, Context], Awaitable[Any]]
ADDED_BY: dict[str, Callable[..., None]] = {
    "reelgate.billing.v1.BillingService": billing_service_pb2_grpc.add_BillingServiceServicer_to_server,
    "reelgate.callback.v1.CallbackService": callback_service_pb2_grpc.add_CallbackServiceServicer_to_server,
    "reelgate.internal.keys.v1.KeyService": key_service_pb2_grpc.add_KeyServiceServicer_to_server,
    "reelgate.models.v1.ModelsService": models_service_pb2_grpc.add_ModelsServiceServicer_to_server,
    "reelgate.nextapi.v1.JobService": job_service_pb2_grpc.add_JobServiceServicer_to_server,
    "reelgate.usage.v1.UsageService": usage_service_pb2_grpc.add_UsageServiceServicer_to_server,
    "reelgate.video.v1.VideoService": video_service_pb2_grpc.add_VideoServiceServicer_to_server,
}
CREATED_AT = "2026-06-29T10:00:00.000Z"


@dataclass(frozen=True)
class Call:
    method: str
    request: Any
    metadata: Mapping[str, str]
    remaining_seconds: Any
    """None: as long as it takes."""


class Upstream(
    video_service_pb2_grpc.VideoServiceServicer,
    job_service_pb2_grpc.JobServiceServicer,
    models_service_pb2_grpc.ModelsServiceServicer,
    usage_service_pb2_grpc.UsageServiceServicer,
    callback_service_pb2_grpc.CallbackServiceServicer,
    billing_service_pb2_grpc.BillingServiceServicer,
    key_service_pb2_grpc.KeyServiceServicer,
):
    """Every public service at one address, and a private one, as if someone had mixed the ports up."""

    def __init__(self) -> None:
        self.target = ""
        self.calls: list[Call] = []
        self.behaviors: dict[str, Handler] = {}

    def forget(self) -> None:
        self.calls.clear()
        self.behaviors.clear()

    async def _answer(self, method: str, request: Any, context: Context, usual: Message) -> Any:
        remaining: Any = context.time_remaining()
        self.calls.append(Call(method, request, metadata_of(context), remaining))
        behavior = self.behaviors.get(method)
        return usual if behavior is None else await behavior(request, context)

    @override
    async def CreateVideo(self, request: Any, context: Context) -> Any:
        usual = video_service_pb2.CreateVideoResponse()
        usual.data.id, usual.data.status, usual.data.model = "vid_1", "pending", request.model
        usual.data.credits_reserved, usual.data.created_at = 100, CREATED_AT
        return await self._answer("CreateVideo", request, context, usual)

    @override
    async def GetVideo(self, request: Any, context: Context) -> Any:
        usual = video_service_pb2.GetVideoResponse()
        usual.data.id, usual.data.status, usual.data.model = request.id, "failed", "mini"
        usual.data.credits_charged, usual.data.created_at = 0, CREATED_AT
        usual.data.metadata.update({"a": [1, 1.5, None, {}]})
        return await self._answer("GetVideo", request, context, usual)

    @override
    async def ListVideos(self, request: Any, context: Context) -> Any:
        return await self._answer("ListVideos", request, context, video_service_pb2.ListVideosResponse())

    @override
    async def EstimateVideo(self, request: Any, context: Context) -> Any:
        return await self._answer(
            "EstimateVideo", request, context, video_service_pb2.EstimateVideoResponse()
        )

    @override
    async def CancelVideo(self, request: Any, context: Context) -> Any:
        return await self._answer("CancelVideo", request, context, video_service_pb2.CancelVideoResponse())

    @override
    async def DeleteVideo(self, request: Any, context: Context) -> Any:
        return await self._answer("DeleteVideo", request, context, video_service_pb2.DeleteVideoResponse())

    @override
    async def WatchVideo(self, request: Any, context: Context) -> AsyncIterator[Any]:
        yield await self._answer("WatchVideo", request, context, HttpBody())

    @override
    async def CreateJob(self, request: Any, context: Context) -> Any:
        usual = job_service_pb2.CreateJobResponse(id="job_1", status="queued", estimated_credits=1.05)
        return await self._answer("CreateJob", request, context, usual)

    @override
    async def GetJob(self, request: Any, context: Context) -> Any:
        usual = job_pb2.Job(id=request.id, status="queued", estimated_credits=1, created_at=CREATED_AT)
        return await self._answer("GetJob", request, context, usual)

    @override
    async def ListJobs(self, request: Any, context: Context) -> Any:
        return await self._answer("ListJobs", request, context, job_service_pb2.ListJobsResponse(limit=20))

    @override
    async def CancelJob(self, request: Any, context: Context) -> Any:
        return await self._answer("CancelJob", request, context, job_pb2.Job(id=request.id))

    @override
    async def DeleteJob(self, request: Any, context: Context) -> Any:
        return await self._answer("DeleteJob", request, context, job_pb2.DeletedJob(id=request.id))

    @override
    async def WatchJob(self, request: Any, context: Context) -> AsyncIterator[Any]:
        yield await self._answer("WatchJob", request, context, HttpBody())

    @override
    async def ListModels(self, request: Any, context: Context) -> Any:
        return await self._answer("ListModels", request, context, models_service_pb2.ListModelsResponse())

    @override
    async def GetModel(self, request: Any, context: Context) -> Any:
        return await self._answer("GetModel", request, context, models_service_pb2.GetModelResponse())

    @override
    async def GetUsage(self, request: Any, context: Context) -> Any:
        usual = usage_service_pb2.GetUsageResponse()
        usual.data.summary.completed_jobs = 8
        return await self._answer("GetUsage", request, context, usual)

    @override
    async def ReceiveCallback(self, request: Any, context: Context) -> Any:
        usual = callback_service_pb2.ReceiveCallbackResponse()
        return await self._answer("ReceiveCallback", request, context, usual)

    @override
    async def GetBalance(self, request: Any, context: Context) -> Any:
        usual = billing_service_pb2.GetBalanceResponse()
        usual.data.available = 1.05
        return await self._answer("GetBalance", request, context, usual)

    @override
    async def LookUpKey(self, request: Any, context: Context) -> Any:
        return await self._answer("LookUpKey", request, context, key_service_pb2.LookUpKeyResponse())


@asynccontextmanager
async def serving_upstream(address: str = "127.0.0.1:0") -> AsyncIterator[Upstream]:
    """Serves it with the middleware that shapes a refusal. Its `target` is the address that was bound."""
    upstream = Upstream()
    services = [(name, partial(add, upstream)) for name, add in ADDED_BY.items()]
    async with serve(
        Port(
            address=address,
            services=services,
            middleware=(errors_mapped, bounded, exact({}), without_blanks, validated),
        )
    ) as [upstream.target]:
        yield upstream
