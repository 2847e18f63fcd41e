"""Jobs on the wire, for their owners, in the words of the NextAPI contract."""

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

from google.api.httpbody_pb2 import HttpBody
from grpc.aio import ServicerContext
from reelgate.nextapi.v1 import job_pb2
from reelgate.nextapi.v1 import job_service_pb2 as pb
from reelgate.nextapi.v1.job_service_pb2_grpc import JobServiceServicer
from typing_extensions import override

from services.common.clock import Clock
from services.common.idempotency.reservation import reserved_id
from services.jobs.convert.nextapi import (
    ID_PREFIX,
    job_fields,
    job_status,
    parse_list_jobs,
    render_created,
    render_job,
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

VIEW = View(contract="nextapi", status=job_status, poll=lambda job, moment: job_fields(job, now=moment))


class JobServicer(JobServiceServicer):
    """Jobs, for their owners."""

    def __init__(
        self,
        *,
        jobs: JobOperations,
        canceller: Canceller,
        delete: DeleteJob,
        streams: EventStreams,
        parse: Callable[[pb.CreateJobRequest], NewJob],
        clock: Clock,
    ) -> None:
        self._jobs = jobs
        self._canceller = canceller
        self._delete = delete
        self._streams = streams
        self._parse = parse
        self._clock = clock

    @override
    async def CreateJob(self, request: pb.CreateJobRequest, context: Context) -> pb.CreateJobResponse:
        wanted = self._parse(request)
        job = await self._jobs.create(
            wanted, buyer=buyer(), id_prefix=ID_PREFIX, reserved=reserved_id(ID_PREFIX)
        )
        return render_created(job)

    @override
    async def GetJob(self, request: pb.GetJobRequest, context: Context) -> job_pb2.Job:
        wanted = watch_request(parse_job_id(request.id, ID_PREFIX), self._jobs.jobs)
        seconds = seconds_to_wait(request.wait, context)
        job = await self._streams.watch.until_ended(wanted, seconds=seconds)
        job = await shown(job, self._streams.links)
        return render_job(job, now=self._clock())

    @override
    async def CancelJob(self, request: pb.CancelJobRequest, context: Context) -> job_pb2.Job:
        job_id = parse_job_id(request.id, ID_PREFIX)
        job = await self._canceller.cancel(job_id, owner=owner())
        return render_job(job, now=self._clock())

    @override
    async def DeleteJob(self, request: pb.DeleteJobRequest, context: Context) -> job_pb2.DeletedJob:
        job_id = parse_job_id(request.id, ID_PREFIX)
        await self._delete(job_id, buyer())
        return job_pb2.DeletedJob(id=job_id, deleted=True)

    @override
    def WatchJob(self, request: pb.WatchJobRequest, context: Context) -> AsyncIterator[HttpBody]:
        wanted = watch_request(parse_job_id(request.id, ID_PREFIX), self._jobs.jobs)
        return event_stream(self._streams.open(wanted, VIEW, heard=last_event_id(context)))

    @override
    async def ListJobs(self, request: pb.ListJobsRequest, context: Context) -> pb.ListJobsResponse:
        limit, offset = parse_list_jobs(request)
        page, next_after = await self._jobs.page(
            owner=owner(), status=None, before_id=None, limit=limit, offset=offset
        )
        data = map(partial(render_job, now=self._clock()), await self._streams.links(page))
        return pb.ListJobsResponse(data=data, limit=limit, offset=offset, has_more=next_after is not None)
