"""Jobs on the wire, for their owners, as the videos of the Seedancee2 contract."""

from collections.abc import AsyncIterator, Callable
from typing import Any

from google.api.httpbody_pb2 import HttpBody
from grpc.aio import ServicerContext
from reelgate.video.v1 import video_pb2
from reelgate.video.v1 import video_service_pb2 as pb
from reelgate.video.v1.video_service_pb2_grpc import VideoServiceServicer
from typing_extensions import override

from services.common.idempotency.reservation import reserved_id
from services.jobs.convert.seedancee2 import (
    ID_PREFIX,
    parse_list_videos,
    render_created,
    render_estimate,
    render_video,
    video_fields,
)
from services.jobs.convert.shared import parse_job_id
from services.jobs.domain.requests import NewJob
from services.jobs.media_links import shown
from services.jobs.operations.cancel_job import Canceller
from services.jobs.operations.delete_job import DeleteJob
from services.jobs.operations.jobs import JobOperations
from services.jobs.rpc.calls import (
    buyer,
    event_stream,
    last_event_id,
    owner,
    seconds_to_wait,
    watch_request,
)
from services.jobs.watch.event_stream import EventStreams, View

Context = ServicerContext[Any, Any]

VIEW = View(
    contract="seedancee2",
    status=lambda job: job.status.value,
    poll=lambda job, _moment: {"data": video_fields(job)},
)


class VideoServicer(VideoServiceServicer):
    """Jobs, for their owners, as videos."""

    def __init__(
        self,
        *,
        jobs: JobOperations,
        canceller: Canceller,
        delete: DeleteJob,
        streams: EventStreams,
        parse: Callable[[pb.CreateVideoRequest | pb.EstimateVideoRequest], NewJob],
    ) -> None:
        self._jobs = jobs
        self._canceller = canceller
        self._delete = delete
        self._streams = streams
        self._parse = parse

    @override
    async def CreateVideo(self, request: pb.CreateVideoRequest, context: Context) -> pb.CreateVideoResponse:
        wanted = self._parse(request)
        job = await self._jobs.create(
            wanted, buyer=buyer(), id_prefix=ID_PREFIX, reserved=reserved_id(ID_PREFIX)
        )
        return pb.CreateVideoResponse(data=render_created(job))

    @override
    async def GetVideo(self, request: pb.GetVideoRequest, context: Context) -> pb.GetVideoResponse:
        wanted = watch_request(parse_job_id(request.id, ID_PREFIX), self._jobs.jobs)
        seconds = seconds_to_wait(request.wait, context)
        job = await self._streams.watch.until_ended(wanted, seconds=seconds)
        job = await shown(job, self._streams.links)
        return pb.GetVideoResponse(data=render_video(job))

    @override
    def WatchVideo(self, request: pb.WatchVideoRequest, context: Context) -> AsyncIterator[HttpBody]:
        wanted = watch_request(parse_job_id(request.id, ID_PREFIX), self._jobs.jobs)
        return event_stream(self._streams.open(wanted, VIEW, heard=last_event_id(context)))

    @override
    async def ListVideos(self, request: pb.ListVideosRequest, context: Context) -> pb.ListVideosResponse:
        status, before_id, limit = parse_list_videos(request)
        page, next_after = await self._jobs.page(
            owner=owner(), status=status, before_id=before_id, limit=limit
        )
        return pb.ListVideosResponse(
            data=map(render_video, await self._streams.links(page)), next_after=next_after
        )

    @override
    async def CancelVideo(self, request: pb.CancelVideoRequest, context: Context) -> pb.CancelVideoResponse:
        job_id = parse_job_id(request.id, ID_PREFIX)
        job = await self._canceller.cancel(job_id, owner=owner())
        return pb.CancelVideoResponse(data=render_video(job))

    @override
    async def DeleteVideo(self, request: pb.DeleteVideoRequest, context: Context) -> pb.DeleteVideoResponse:
        job_id = parse_job_id(request.id, ID_PREFIX)
        await self._delete(job_id, buyer())
        return pb.DeleteVideoResponse(data=video_pb2.DeletedVideo(id=job_id, deleted=True))

    @override
    async def EstimateVideo(
        self, request: pb.EstimateVideoRequest, context: Context
    ) -> pb.EstimateVideoResponse:
        wanted = self._parse(request)
        estimate = await self._jobs.estimate(wanted, buyer=buyer())
        return pb.EstimateVideoResponse(data=render_estimate(wanted, estimate))
