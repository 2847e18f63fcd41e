"""Videos on the wire, for their owners."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from grpc.aio import ServicerContext
from reelgate.video.v1 import video_service_pb2, video_service_pb2_grpc
from typing_extensions import override

from services.common.clock import Clock
from services.jobs.convert import (
    CheckUrl,
    parse_job_id,
    parse_list_videos,
    parse_new_video,
    render_created,
    render_estimate,
    render_video,
)
from services.jobs.domain import Catalogue
from services.jobs.operations.create_video import create_video
from services.jobs.operations.estimate_video import estimate_video
from services.jobs.operations.get_video import get_video
from services.jobs.operations.list_videos import list_videos
from services.jobs.ports import Funds, Jobs, Ledger, Prices
from services.jobs.rpc.access import buyer, owner

Context = ServicerContext[Any, Any]


class VideoServicer(video_service_pb2_grpc.VideoServiceServicer):
    """Videos, for their owners."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        prices: Prices,
        jobs: Jobs,
        ledger: Ledger,
        funds: Funds,
        check_url: CheckUrl,
        random_seed: Callable[[], int],
        new_id: Callable[[datetime], str],
        ring: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._catalogue = catalogue
        self._prices = prices
        self._jobs = jobs
        self._ledger = ledger
        self._funds = funds
        self._check_url = check_url
        self._random_seed = random_seed
        self._new_id = new_id
        self._ring = ring
        self._clock = clock

    @override
    async def CreateVideo(
        self, request: video_service_pb2.CreateVideoRequest, context: Context
    ) -> video_service_pb2.CreateVideoResponse:
        wanted = parse_new_video(request, check_url=self._check_url, random_seed=self._random_seed)
        job = await create_video(
            wanted,
            buyer=buyer(),
            catalogue=self._catalogue,
            prices=self._prices,
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
        job = await get_video(parse_job_id(request.id), owner=owner(), jobs=self._jobs)
        return video_service_pb2.GetVideoResponse(data=render_video(job))

    @override
    async def ListVideos(
        self, request: video_service_pb2.ListVideosRequest, context: Context
    ) -> video_service_pb2.ListVideosResponse:
        status, before_id, limit = parse_list_videos(request)
        page, next_after = await list_videos(
            owner=owner(), status=status, before_id=before_id, limit=limit, jobs=self._jobs
        )
        return video_service_pb2.ListVideosResponse(data=map(render_video, page), next_after=next_after)

    @override
    async def EstimateVideo(
        self, request: video_service_pb2.EstimateVideoRequest, context: Context
    ) -> video_service_pb2.EstimateVideoResponse:
        wanted = parse_new_video(request, check_url=self._check_url, random_seed=self._random_seed)
        estimate = await estimate_video(
            wanted,
            buyer=buyer(),
            catalogue=self._catalogue,
            prices=self._prices,
            funds=self._funds,
            clock=self._clock,
        )
        return video_service_pb2.EstimateVideoResponse(data=render_estimate(wanted, estimate))
