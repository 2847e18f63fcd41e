"""Jobs on the wire, for their owners, as the videos of the Seedancee2 contract."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from google.api.httpbody_pb2 import HttpBody
from grpc.aio import ServicerContext
from reelgate.video.v1 import video_service_pb2, video_service_pb2_grpc
from typing_extensions import override

from services.common.auth.authentication import credential
from services.common.idempotency.reservation import reserved_id
from services.jobs.convert.seedancee2 import (
    ID_PREFIX,
    parse_list_videos,
    parse_new_video,
    render_created,
    render_estimate,
    render_video,
    video_fields,
)
from services.jobs.convert.shared import parse_job_id
from services.jobs.operations.cancel_job import cancel_job
from services.jobs.operations.create_job import create_job
from services.jobs.operations.estimate_job import estimate_job
from services.jobs.operations.get_job import get_job
from services.jobs.operations.list_jobs import list_jobs
from services.jobs.rpc.calls import buyer, event_stream, last_event_id, owner, seconds_to_wait
from services.jobs.rpc.needs import Needs
from services.jobs.watch.event_stream import View
from services.jobs.watch.subscription import WatchRequest

Context = ServicerContext[Any, Any]

VIEW = View(
    contract="seedancee2",
    status=lambda job: job.status.value,
    poll=lambda job, _moment: {"data": video_fields(job)},
)


class VideoServicer(video_service_pb2_grpc.VideoServiceServicer):
    """Videos, for their owners."""

    def __init__(self, needs: Needs) -> None:
        self._needs = needs

    @override
    async def CreateVideo(
        self, request: video_service_pb2.CreateVideoRequest, context: Context
    ) -> video_service_pb2.CreateVideoResponse:
        needs = self._needs
        wanted = parse_new_video(request, check_url=needs.check_url, random_seed=needs.random_seed)
        job = await create_job(
            wanted,
            buyer=buyer(),
            catalogue=needs.catalogue,
            prices=needs.prices,
            moderate=needs.moderate,
            ledger=needs.ledger,
            jobs=needs.jobs,
            new_id=partial(needs.new_id, ID_PREFIX),
            clock=needs.clock,
            reserved=reserved_id(ID_PREFIX),
        )
        needs.notify()
        return video_service_pb2.CreateVideoResponse(data=render_created(job))

    @override
    async def GetVideo(
        self, request: video_service_pb2.GetVideoRequest, context: Context
    ) -> video_service_pb2.GetVideoResponse:
        seconds = seconds_to_wait(request.wait, context)
        job = await self._needs.watch.until_ended(self._wanted(request.id), seconds=seconds)
        return video_service_pb2.GetVideoResponse(data=render_video(job))

    @override
    def WatchVideo(
        self, request: video_service_pb2.WatchVideoRequest, context: Context
    ) -> AsyncIterator[HttpBody]:
        return event_stream(
            self._needs.streams.open(self._wanted(request.id), VIEW, heard=last_event_id(context))
        )

    def _wanted(self, sent_id: str) -> WatchRequest:
        job_id, asker = parse_job_id(sent_id, ID_PREFIX), owner()
        return WatchRequest(
            job_id=job_id,
            account_id=asker.account_id,
            credential=credential(),
            read=partial(get_job, job_id, owner=asker, jobs=self._needs.jobs),
        )

    @override
    async def ListVideos(
        self, request: video_service_pb2.ListVideosRequest, context: Context
    ) -> video_service_pb2.ListVideosResponse:
        status, before_id, limit = parse_list_videos(request)
        page, next_after = await list_jobs(
            owner=owner(), status=status, before_id=before_id, limit=limit, jobs=self._needs.jobs
        )
        return video_service_pb2.ListVideosResponse(data=map(render_video, page), next_after=next_after)

    @override
    async def CancelVideo(
        self, request: video_service_pb2.CancelVideoRequest, context: Context
    ) -> video_service_pb2.CancelVideoResponse:
        job_id = parse_job_id(request.id, ID_PREFIX)
        job = await cancel_job(job_id, owner=owner(), canceller=self._needs.canceller)
        return video_service_pb2.CancelVideoResponse(data=render_video(job))

    @override
    async def EstimateVideo(
        self, request: video_service_pb2.EstimateVideoRequest, context: Context
    ) -> video_service_pb2.EstimateVideoResponse:
        needs = self._needs
        wanted = parse_new_video(request, check_url=needs.check_url, random_seed=needs.random_seed)
        estimate = await estimate_job(
            wanted,
            buyer=buyer(),
            catalogue=needs.catalogue,
            prices=needs.prices,
            funds=needs.funds,
            clock=needs.clock,
        )
        return video_service_pb2.EstimateVideoResponse(data=render_estimate(wanted, estimate))
