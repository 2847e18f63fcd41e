"""What operators see of jobs that do not move, over gRPC."""

from collections.abc import AsyncIterator

import pytest
from reelgate.admin.v1 import job_admin_service_pb2

from services.common.postgres.database import Pool
from tests.integration.jobs.conftest import a_job
from tests.integration.jobs.desk import NOTE, Desk, open_desk


@pytest.fixture
async def desk(jobs_pool: Pool) -> AsyncIterator[Desk]:
    async with open_desk(jobs_pool) as opened:
        for number in (1, 2, 3):
            await opened.at("pending", number)
        yield opened


async def stalled(desk: Desk) -> job_admin_service_pb2.ListUnfinishedJobsResponse:
    answer = await desk.jobs.ListUnfinishedJobs(job_admin_service_pb2.ListUnfinishedJobsRequest(stalled=True))
    assert isinstance(answer, job_admin_service_pb2.ListUnfinishedJobsResponse)
    return answer


async def stall(desk: Desk, number: int, *, seconds: int) -> None:
    await desk.sql(
        f"UPDATE work SET claim_count = 7, last_error = 'check: TypeError: x', due_at = now() + interval '1 h',"
        f" stalled_since = now() - interval '{seconds} s' WHERE job_id = '{a_job(number).id}'"
    )


async def test_jobs_that_do_not_move_are_counted_and_listed_with_what_they_failed_with(desk: Desk) -> None:
    await stall(desk, 1, seconds=100)
    await stall(desk, 2, seconds=1)

    listed = await stalled(desk)

    assert listed.stalled_count == 1
    [job] = listed.jobs
    assert (job.job_id, job.claim_count, job.last_error) == (a_job(1).id, 7, "check: TypeError: x")
    assert 100 <= job.stalled_seconds < 1_000
    everything = await desk.unfinished()
    assert [found.HasField("last_error") for found in everything] == [True, True, False]


async def test_a_recheck_brings_a_job_that_was_set_aside_back_at_once(desk: Desk) -> None:
    await stall(desk, 1, seconds=100)

    await desk.jobs.RecheckJob(job_admin_service_pb2.RecheckJobRequest(job_id=a_job(1).id, audit=NOTE))

    assert (await stalled(desk)).stalled_count == 0
    [row] = await desk.sql(
        f"SELECT claim_count, last_error, due_at <= now() AS is_due FROM work WHERE job_id = '{a_job(1).id}'"
    )
    assert row == {"claim_count": 0, "last_error": None, "is_due": True}
