"""Single jobs on the wire, for operators."""

from typing import Any

from grpc.aio import ServicerContext
from reelgate.admin.v1 import job_admin_service_pb2 as pb
from reelgate.admin.v1.job_admin_service_pb2_grpc import JobAdminServiceServicer
from typing_extensions import override

from services.common.audit.servicer import parse_note
from services.common.clock import rfc3339, utc_now
from services.common.paging import cut, moment_in, moment_token, page_size
from services.common.rpc.enums import environment_value, text_of, value_of
from services.jobs.domain.states import State
from services.jobs.operations.mend_job import Mender
from services.jobs.operations.reconcile import reconcile
from services.jobs.operations.refunds import refund_job
from services.jobs.operations.routes import RouteOperations
from services.jobs.operations.settle_job import Outcome, settle_job
from services.jobs.operations.unfinished_jobs import UnfinishedJobOperations
from services.jobs.store.queue.controls import UnfinishedJob
from services.jobs.store.refunds import SqlRefunds, WantedRefund
from services.jobs.store.routes import AttemptRecord

Context = ServicerContext[Any, Any]


class JobAdminServicer(JobAdminServiceServicer):
    """Single jobs, for operators."""

    def __init__(
        self,
        *,
        unfinished: UnfinishedJobOperations,
        routes: RouteOperations,
        refunds: SqlRefunds,
        mender: Mender,
    ) -> None:
        self._unfinished = unfinished
        self._routes = routes
        self._refunds = refunds
        self._mender = mender

    @override
    async def ListUnfinishedJobs(
        self, request: pb.ListUnfinishedJobsRequest, context: Context
    ) -> pb.ListUnfinishedJobsResponse:
        controls, size = self._unfinished.controls, page_size(request.page_size)
        found = await controls.unfinished(
            state=State(text_of(pb.JobState.DESCRIPTOR, request.state)) if request.state else None,
            age_seconds_min=request.age_seconds_min,
            stalled=request.stalled,
            after=moment_in(request.page_token),
            limit=size + 1,
        )
        page, token = cut(found, size, lambda job: moment_token(job.state_since, job.job_id))
        return pb.ListUnfinishedJobsResponse(
            jobs=map(_render_unfinished, page),
            stalled_count=await controls.stalled_count(),
            next_page_token=token,
        )

    @override
    async def ShowJob(self, request: pb.ShowJobRequest, context: Context) -> pb.ShowJobResponse:
        standing = await self._unfinished.standing(request.job_id)
        return pb.ShowJobResponse(
            job_id=request.job_id,
            status=standing.status,
            state=value_of(pb.JobState.DESCRIPTOR, standing.state or "unspecified"),
            attempts=map(_render_attempt, await self._routes.attempts(request.job_id)),
        )

    @override
    async def FailJob(self, request: pb.FailJobRequest, context: Context) -> pb.FailJobResponse:
        await self._unfinished.fail(request.job_id, note=parse_note(request.audit))
        return pb.FailJobResponse()

    @override
    async def RecheckJob(self, request: pb.RecheckJobRequest, context: Context) -> pb.RecheckJobResponse:
        await self._unfinished.recheck(request.job_id, note=parse_note(request.audit))
        return pb.RecheckJobResponse()

    @override
    async def RefundJob(self, request: pb.RefundJobRequest, context: Context) -> pb.RefundJobResponse:
        wanted = WantedRefund(
            refund_id=request.refund_id,
            job_id=request.job_id,
            amount_micros=request.amount_micros if request.HasField("amount_micros") else None,
            note=parse_note(request.audit),
        )
        refund = await refund_job(wanted, refunds=self._refunds, ledger=self._mender.ledger)
        return pb.RefundJobResponse(amount_micros=refund.amount_micros)

    @override
    async def SettleJob(self, request: pb.SettleJobRequest, context: Context) -> pb.SettleJobResponse:
        outcome, note = Outcome(text_of(pb.JobOutcome.DESCRIPTOR, request.outcome)), parse_note(request.audit)
        settled = await settle_job(request.job_id, outcome=outcome, note=note, mender=self._mender)
        return pb.SettleJobResponse(**vars(settled))

    @override
    async def ReconcileHolds(
        self, request: pb.ReconcileHoldsRequest, context: Context
    ) -> pb.ReconcileHoldsResponse:
        reconciled = await reconcile(
            request.page_token or None,
            is_trial=request.is_trial,
            note=parse_note(request.audit),
            mender=self._mender,
            clock=utc_now,
        )
        return pb.ReconcileHoldsResponse(
            jobs=[pb.MendedJob(**vars(each)) for each in reconciled.mended],
            checked_count=reconciled.checked_count,
            next_page_token=reconciled.next_page_token or "",
        )


def _render_unfinished(job: UnfinishedJob) -> pb.UnfinishedJob:
    shown = {name: value for name, value in vars(job).items() if name != "state_since"}
    moments = {"created_at": rfc3339(job.created_at), "due_at": job.due_at and rfc3339(job.due_at)}
    enums = {
        "environment": environment_value(job.environment),
        "state": value_of(pb.JobState.DESCRIPTOR, job.state),
    }
    return pb.UnfinishedJob(**{**shown, **moments, **enums})


def _render_attempt(attempt: AttemptRecord) -> pb.JobAttempt:
    fields: dict[str, Any] = dict(vars(attempt))
    cost = fields.pop("cost_micros")
    for name in ("opened_at", "submitted_at", "rendered_at", "closed_at"):
        moment = fields[name]
        fields[name] = None if moment is None else rfc3339(moment)
    return pb.JobAttempt(**fields, cost_usd_millionths=cost)
