"""What operators do to single jobs."""

from collections.abc import Sequence
from typing import Any

from reelgate.admin.v1 import job_admin_service_pb2, job_admin_service_pb2_grpc

from services.cli.admin.channel import open_admin_channel
from services.cli.admin.records import Note, SettledJob, Stalled, UnfinishedJob
from services.cli.admin.target import AdminTarget
from services.cli.admin.wire import to_note_message, to_record
from services.common.ids import new_id


async def list_unfinished_jobs(
    *, state: str | None, age_seconds_min: int | None, stalled: bool, jobs_max: int, jobs: AdminTarget
) -> Sequence[UnfinishedJob]:
    """Returns jobs that have not ended, those longest in their state first. Raises ServiceError."""
    listed = await _list(jobs, state=state, age_seconds_min=age_seconds_min, stalled=stalled, limit=jobs_max)
    return [to_record(UnfinishedJob, job) for job in listed.jobs]


async def stalled_jobs(*, jobs: AdminTarget) -> Stalled:
    """Returns how many jobs do not move, and one that has not for long. Raises ServiceError."""
    listed = await _list(jobs, stalled=True, limit=1)
    longest = to_record(UnfinishedJob, listed.jobs[0]) if listed.jobs else None
    return Stalled(count=listed.stalled_count, longest=longest)


async def _list(jobs: AdminTarget, **wanted: Any) -> job_admin_service_pb2.ListUnfinishedJobsResponse:
    async with open_admin_channel(jobs) as channel:
        return await job_admin_service_pb2_grpc.JobAdminServiceStub(channel).ListUnfinishedJobs(
            job_admin_service_pb2.ListUnfinishedJobsRequest(**wanted), wait_for_ready=True
        )


async def fail_job(job_id: str, *, note: Note, jobs: AdminTarget) -> None:
    """Gives an unfinished job up. Raises ServiceError."""
    async with open_admin_channel(jobs) as channel:
        await job_admin_service_pb2_grpc.JobAdminServiceStub(channel).FailJob(
            job_admin_service_pb2.FailJobRequest(job_id=job_id, audit=to_note_message(note)),
            wait_for_ready=True,
        )


async def settle_job(job_id: str, *, outcome: str, note: Note, jobs: AdminTarget) -> SettledJob:
    """Ends a job, and has its hold agree. Returns what that changed. Raises ServiceError."""
    async with open_admin_channel(jobs) as channel:
        settled = await job_admin_service_pb2_grpc.JobAdminServiceStub(channel).SettleJob(
            job_admin_service_pb2.SettleJobRequest(
                job_id=job_id, outcome=outcome, audit=to_note_message(note)
            ),
            wait_for_ready=True,
        )
    return to_record(SettledJob, settled, job_id=job_id)


async def recheck_job(job_id: str, *, note: Note, jobs: AdminTarget) -> None:
    """Makes an unfinished job due at once. Raises ServiceError."""
    async with open_admin_channel(jobs) as channel:
        await job_admin_service_pb2_grpc.JobAdminServiceStub(channel).RecheckJob(
            job_admin_service_pb2.RecheckJobRequest(job_id=job_id, audit=to_note_message(note)),
            wait_for_ready=True,
        )


async def refund_job(job_id: str, *, amount_micros: int | None, note: Note, jobs: AdminTarget) -> int:
    """Gives credits back for a completed job: all that are left, or `amount_micros`. Returns how many. Raises ServiceError."""
    async with open_admin_channel(jobs) as channel:
        refunded = await job_admin_service_pb2_grpc.JobAdminServiceStub(channel).RefundJob(
            job_admin_service_pb2.RefundJobRequest(
                refund_id=new_id("refund"),
                job_id=job_id,
                amount_micros=amount_micros,
                audit=to_note_message(note),
            ),
            wait_for_ready=True,
        )
    return int(refunded.amount_micros)
