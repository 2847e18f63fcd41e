"""Single jobs on the wire, for operators."""

from collections.abc import Callable
from typing import Any

from grpc.aio import ServicerContext
from reelgate.admin.v1 import job_admin_service_pb2, job_admin_service_pb2_grpc
from typing_extensions import override

from services.common.audit.servicer import parse_note
from services.common.clock import rfc3339, utc_now
from services.common.paging import cut, moment_in, moment_token, page_size
from services.jobs.domain.states import State
from services.jobs.operations.fail_job import fail_job
from services.jobs.operations.mend_job import Mender
from services.jobs.operations.recheck_job import recheck_job
from services.jobs.operations.reconcile import reconcile
from services.jobs.operations.refund_job import refund_job
from services.jobs.operations.settle_job import Outcome, settle_job
from services.jobs.ports import Ledger
from services.jobs.store.queue.controls import SqlControls, UnfinishedJob
from services.jobs.store.refunds import SqlRefunds, WantedRefund

Context = ServicerContext[Any, Any]


class JobAdminServicer(job_admin_service_pb2_grpc.JobAdminServiceServicer):
    """Single jobs, for operators."""

    def __init__(
        self,
        *,
        controls: SqlControls,
        refunds: SqlRefunds,
        ledger: Ledger,
        mender: Mender,
        notify: Callable[[], None],
    ) -> None:
        self._controls = controls
        self._refunds = refunds
        self._ledger = ledger
        self._mender = mender
        self._notify = notify

    @override
    async def ListUnfinishedJobs(
        self, request: job_admin_service_pb2.ListUnfinishedJobsRequest, context: Context
    ) -> job_admin_service_pb2.ListUnfinishedJobsResponse:
        size = page_size(request.page_size)
        found = await self._controls.unfinished(
            state=State(request.state) if request.HasField("state") else None,
            age_seconds_min=request.age_seconds_min,
            stalled=request.stalled,
            after=moment_in(request.page_token),
            limit=size + 1,
        )
        page, token = cut(found, size, lambda job: moment_token(job.state_since, job.job_id))
        return job_admin_service_pb2.ListUnfinishedJobsResponse(
            jobs=map(_render_unfinished, page),
            stalled_count=await self._controls.stalled_count(),
            next_page_token=token,
        )

    @override
    async def FailJob(
        self, request: job_admin_service_pb2.FailJobRequest, context: Context
    ) -> job_admin_service_pb2.FailJobResponse:
        note = parse_note(request.audit)
        await fail_job(request.job_id, note=note, controls=self._controls, notify=self._notify)
        return job_admin_service_pb2.FailJobResponse()

    @override
    async def RecheckJob(
        self, request: job_admin_service_pb2.RecheckJobRequest, context: Context
    ) -> job_admin_service_pb2.RecheckJobResponse:
        note = parse_note(request.audit)
        await recheck_job(request.job_id, note=note, controls=self._controls, notify=self._notify)
        return job_admin_service_pb2.RecheckJobResponse()

    @override
    async def RefundJob(
        self, request: job_admin_service_pb2.RefundJobRequest, context: Context
    ) -> job_admin_service_pb2.RefundJobResponse:
        wanted = WantedRefund(
            refund_id=request.refund_id,
            job_id=request.job_id,
            amount_micros=request.amount_micros if request.HasField("amount_micros") else None,
            note=parse_note(request.audit),
        )
        refund = await refund_job(wanted, refunds=self._refunds, ledger=self._ledger)
        return job_admin_service_pb2.RefundJobResponse(amount_micros=refund.amount_micros)

    @override
    async def SettleJob(
        self, request: job_admin_service_pb2.SettleJobRequest, context: Context
    ) -> job_admin_service_pb2.SettleJobResponse:
        settled = await settle_job(
            request.job_id,
            outcome=Outcome(request.outcome),
            note=parse_note(request.audit),
            mender=self._mender,
        )
        return job_admin_service_pb2.SettleJobResponse(**vars(settled))

    @override
    async def ReconcileHolds(
        self, request: job_admin_service_pb2.ReconcileHoldsRequest, context: Context
    ) -> job_admin_service_pb2.ReconcileHoldsResponse:
        reconciled = await reconcile(
            request.page_token or None,
            is_trial=request.is_trial,
            note=parse_note(request.audit),
            mender=self._mender,
            clock=utc_now,
        )
        return job_admin_service_pb2.ReconcileHoldsResponse(
            jobs=[job_admin_service_pb2.MendedJob(**vars(each)) for each in reconciled.mended],
            checked_count=reconciled.checked_count,
            next_page_token=reconciled.next_page_token or "",
        )


def _render_unfinished(job: UnfinishedJob) -> job_admin_service_pb2.UnfinishedJob:
    shown = {name: value for name, value in vars(job).items() if name != "state_since"}
    moments = {"created_at": rfc3339(job.created_at), "due_at": job.due_at and rfc3339(job.due_at)}
    return job_admin_service_pb2.UnfinishedJob(**{**shown, **moments, "state": job.state.value})
