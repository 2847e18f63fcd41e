"""What operators do to single jobs. Every function raises ServiceError."""

from collections.abc import Sequence

from reelgate.admin.v1 import job_admin_service_pb2 as pb
from reelgate.admin.v1.audit_pb2 import AuditNote
from reelgate.admin.v1.job_admin_service_pb2_grpc import JobAdminServiceStub

from services.cli.admin.channel import call
from services.cli.admin.target import AdminTarget
from services.common.ids import new_id
from services.common.rpc.enums import value_of


async def list_unfinished_jobs(
    *, state: str | None, age_seconds_min: int | None, stalled: bool, jobs_max: int, jobs: AdminTarget
) -> Sequence[pb.UnfinishedJob]:
    """Returns jobs that have not ended, those longest in their state first."""
    request = pb.ListUnfinishedJobsRequest(
        state=value_of(pb.JobState.DESCRIPTOR, state or "unspecified"),
        age_seconds_min=age_seconds_min,
        stalled=stalled,
        page_size=jobs_max,
    )
    return (await call(jobs, lambda channel: JobAdminServiceStub(channel).ListUnfinishedJobs, request)).jobs


async def stalled_jobs(*, jobs: AdminTarget) -> pb.ListUnfinishedJobsResponse:
    """Returns how many jobs are stalled, and the one that has been longest in its state."""
    request = pb.ListUnfinishedJobsRequest(stalled=True, page_size=1)
    return await call(jobs, lambda channel: JobAdminServiceStub(channel).ListUnfinishedJobs, request)


async def show_job(job_id: str, *, jobs: AdminTarget) -> pb.ShowJobResponse:
    """Returns where a job is, and every attempt at it."""
    request = pb.ShowJobRequest(job_id=job_id)
    return await call(jobs, lambda channel: JobAdminServiceStub(channel).ShowJob, request)


async def fail_job(job_id: str, *, note: AuditNote, jobs: AdminTarget) -> None:
    """Fails an unfinished job."""
    request = pb.FailJobRequest(job_id=job_id, audit=note)
    await call(jobs, lambda channel: JobAdminServiceStub(channel).FailJob, request)


async def settle_job(
    job_id: str, *, outcome: str, note: AuditNote, jobs: AdminTarget
) -> pb.SettleJobResponse:
    """Ends a job in any state and settles its hold accordingly. Returns what that changed."""
    request = pb.SettleJobRequest(
        job_id=job_id, outcome=value_of(pb.JobOutcome.DESCRIPTOR, outcome), audit=note
    )
    return await call(jobs, lambda channel: JobAdminServiceStub(channel).SettleJob, request)


async def recheck_job(job_id: str, *, note: AuditNote, jobs: AdminTarget) -> None:
    """Makes an unfinished job due at once."""
    request = pb.RecheckJobRequest(job_id=job_id, audit=note)
    await call(jobs, lambda channel: JobAdminServiceStub(channel).RecheckJob, request)


async def refund_job(job_id: str, *, amount_micros: int | None, note: AuditNote, jobs: AdminTarget) -> int:
    """Refunds a completed job: what is left of its charge, or `amount_micros`. Returns how many micro-credits."""
    request = pb.RefundJobRequest(
        refund_id=new_id("refund"), job_id=job_id, amount_micros=amount_micros, audit=note
    )
    refunded = await call(jobs, lambda channel: JobAdminServiceStub(channel).RefundJob, request)
    return refunded.amount_micros
