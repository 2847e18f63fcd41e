"""The public services on the wire: each method parses, calls one operation, renders."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from grpc.aio import ServicerContext
from reelgate.callback.v1 import callback_service_pb2, callback_service_pb2_grpc
from reelgate.models.v1 import models_service_pb2, models_service_pb2_grpc
from reelgate.usage.v1 import usage_service_pb2, usage_service_pb2_grpc
from reelgate.video.v1 import video_service_pb2, video_service_pb2_grpc
from typing_extensions import override

from services.common.authentication import OPEN_TO_ALL, caller
from services.common.clock import Clock
from services.common.serve import OPEN_SERVICES
from services.jobs.convert import (
    CheckUrl,
    parse_create_video,
    parse_get_usage,
    parse_job_id,
    parse_list_videos,
    render_created,
    render_model,
    render_model_detail,
    render_usage,
    render_video,
)
from services.jobs.domain import Catalogue, Owner
from services.jobs.operations.create_video import create_video
from services.jobs.operations.get_usage import get_usage
from services.jobs.operations.get_video import get_video
from services.jobs.operations.list_videos import list_videos
from services.jobs.operations.receive_callback import receive_callback
from services.jobs.ports import Jobs, Ledger, Work

Context = ServicerContext[Any, Any]

VIDEO_SERVICE = "reelgate.video.v1.VideoService"
MODELS_SERVICE = "reelgate.models.v1.ModelsService"
USAGE_SERVICE = "reelgate.usage.v1.UsageService"
CALLBACK_SERVICE = "reelgate.callback.v1.CallbackService"

PUBLIC_ACCESS: Mapping[str, frozenset[str]] = {
    VIDEO_SERVICE: frozenset({"seedancee2"}),
    MODELS_SERVICE: frozenset({"seedancee2"}),
    USAGE_SERVICE: frozenset({"seedancee2"}),
    CALLBACK_SERVICE: OPEN_TO_ALL,
    **dict.fromkeys(OPEN_SERVICES, OPEN_TO_ALL),
}
"""Which contracts' keys may call which service of the public port."""


class VideoServicer(video_service_pb2_grpc.VideoServiceServicer):
    """Videos, for their owners."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        jobs: Jobs,
        ledger: Ledger,
        check_url: CheckUrl,
        random_seed: Callable[[], int],
        new_id: Callable[[datetime], str],
        ring: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._catalogue = catalogue
        self._jobs = jobs
        self._ledger = ledger
        self._check_url = check_url
        self._random_seed = random_seed
        self._new_id = new_id
        self._ring = ring
        self._clock = clock

    @override
    async def CreateVideo(
        self, request: video_service_pb2.CreateVideoRequest, context: Context
    ) -> video_service_pb2.CreateVideoResponse:
        wanted = parse_create_video(request, check_url=self._check_url, random_seed=self._random_seed)
        job = await create_video(
            wanted,
            owner=_owner(),
            catalogue=self._catalogue,
            ledger=self._ledger,
            jobs=self._jobs,
            new_id=self._new_id,
            clock=self._clock,
        )
        self._ring()
        return video_service_pb2.CreateVideoResponse(data=render_created(job))

    @override
    async def GetVideo(
        self, request: video_service_pb2.GetVideoRequest, context: Context
    ) -> video_service_pb2.GetVideoResponse:
        job = await get_video(parse_job_id(request.id), owner=_owner(), jobs=self._jobs)
        return video_service_pb2.GetVideoResponse(data=render_video(job))

    @override
    async def ListVideos(
        self, request: video_service_pb2.ListVideosRequest, context: Context
    ) -> video_service_pb2.ListVideosResponse:
        status, before_id, limit = parse_list_videos(request)
        page, next_after = await list_videos(
            owner=_owner(), status=status, before_id=before_id, limit=limit, jobs=self._jobs
        )
        return video_service_pb2.ListVideosResponse(data=map(render_video, page), next_after=next_after)


class ModelsServicer(models_service_pb2_grpc.ModelsServiceServicer):
    """Models: a plain read of the catalogue."""

    def __init__(self, *, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    @override
    async def ListModels(
        self, request: models_service_pb2.ListModelsRequest, context: Context
    ) -> models_service_pb2.ListModelsResponse:
        return models_service_pb2.ListModelsResponse(data=map(render_model, self._catalogue.models.values()))

    @override
    async def GetModel(
        self, request: models_service_pb2.GetModelRequest, context: Context
    ) -> models_service_pb2.GetModelResponse:
        model = self._catalogue.model(request.id)
        return models_service_pb2.GetModelResponse(data=render_model_detail(model))


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
        usage = await get_usage(owner=_owner(), start=start, end=end, days_max=days_max, jobs=self._jobs)
        return usage_service_pb2.GetUsageResponse(data=render_usage(usage))


class CallbackServicer(callback_service_pb2_grpc.CallbackServiceServicer):
    """Hints from providers."""

    def __init__(
        self,
        *,
        work: Work,
        claimed_task_id: Callable[[bytes], str | None],
        ring: Callable[[], None],
    ) -> None:
        self._work = work
        self._claimed_task_id = claimed_task_id
        self._ring = ring

    @override
    async def ReceiveCallback(
        self, request: callback_service_pb2.ReceiveCallbackRequest, context: Context
    ) -> callback_service_pb2.ReceiveCallbackResponse:
        await receive_callback(
            request.token,
            request.body.data,
            work=self._work,
            claimed_task_id=self._claimed_task_id,
            ring=self._ring,
        )
        return callback_service_pb2.ReceiveCallbackResponse()


def _owner() -> Owner:
    found = caller()
    return Owner(account_id=found.account_id, environment=found.environment, contract=found.contract)
