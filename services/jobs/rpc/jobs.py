"""Jobs on the wire, for their owners, in the words of the NextAPI contract."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from google.api.httpbody_pb2 import HttpBody
from grpc.aio import ServicerContext
from reelgate.nextapi.v1 import job_pb2, job_service_pb2, job_service_pb2_grpc
from typing_extensions import override

from services.common.auth.authentication import credential
from services.common.idempotency.reservation import reserved_id
from services.jobs.convert.nextapi import (
    ID_PREFIX,
    job_fields,
    job_status,
    parse_list_jobs,
    parse_new_job,
    render_created,
    render_job,
)
from services.jobs.convert.shared import parse_job_id
from services.jobs.operations.cancel_job import cancel_job
from services.jobs.operations.create_job import create_job
from services.jobs.operations.get_job import get_job
from services.jobs.operations.list_jobs import list_jobs
from services.jobs.rpc.calls import buyer, event_stream, last_event_id, owner, seconds_to_wait
from services.jobs.rpc.needs import Needs
from services.jobs.watch.event_stream import View
from services.jobs.watch.subscription import WatchRequest

Context = ServicerContext[Any, Any]

VIEW = View(contract="nextapi", status=job_status, poll=lambda job, moment: job_fields(job, now=moment))


class JobServicer(job_service_pb2_grpc.JobServiceServicer):
    """Jobs, for their owners."""

    def __init__(self, needs: Needs) -> None:
        self._needs = needs

    @override
    async def CreateJob(
        self, request: job_service_pb2.CreateJobRequest, context: Context
    ) -> job_service_pb2.CreateJobResponse:
        needs = self._needs
        wanted = parse_new_job(request, check_url=needs.check_url, random_seed=needs.random_seed)
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
        return render_created(job)

    @override
    async def GetJob(self, request: job_service_pb2.GetJobRequest, context: Context) -> job_pb2.Job:
        seconds = seconds_to_wait(request.wait, context)
        job = await self._needs.watch.until_ended(self._wanted(request.id), seconds=seconds)
        return render_job(job, now=self._needs.clock())

    @override
    async def CancelJob(self, request: job_service_pb2.CancelJobRequest, context: Context) -> job_pb2.Job:
        job_id = parse_job_id(request.id, ID_PREFIX)
        job = await cancel_job(job_id, owner=owner(), canceller=self._needs.canceller)
        return render_job(job, now=self._needs.clock())

    @override
    def WatchJob(self, request: job_service_pb2.WatchJobRequest, context: Context) -> AsyncIterator[HttpBody]:
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
    async def ListJobs(
        self, request: job_service_pb2.ListJobsRequest, context: Context
    ) -> job_service_pb2.ListJobsResponse:
        limit, offset = parse_list_jobs(request)
        page, next_after = await list_jobs(
            owner=owner(), status=None, before_id=None, limit=limit, offset=offset, jobs=self._needs.jobs
        )
        render = partial(render_job, now=self._needs.clock())
        return job_service_pb2.ListJobsResponse(
            data=map(render, page), limit=limit, offset=offset, has_more=next_after is not None
        )
