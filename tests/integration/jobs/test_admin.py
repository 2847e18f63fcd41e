"""What operators do to single jobs, over gRPC: what it leaves, what it refuses, and that it is on record."""

import asyncio
import json
from collections.abc import AsyncIterator

import psycopg
import pytest
from reelgate.admin.v1 import job_admin_service_pb2
from reelgate.admin.v1.audit_pb2 import AuditNote

from services.common.errors import Reason, ServiceError
from services.common.postgres.database import Pool
from services.common.rpc.enums import environment_of, text_of
from services.jobs.domain.claims import LeaseLostError
from services.jobs.domain.failures import FailureCode
from services.jobs.domain.states import Status
from tests.integration.jobs.conftest import a_job
from tests.integration.jobs.desk import JOB_ID, NOTE, RESERVED, Desk, open_desk


@pytest.fixture
async def desk(jobs_pool: Pool) -> AsyncIterator[Desk]:
    async with open_desk(jobs_pool) as opened:
        yield opened


async def test_unfinished_jobs_are_listed_longest_in_their_state_first(desk: Desk) -> None:
    for number, place in enumerate(["processing", "pending", "completed", "stored"], start=1):
        await desk.at(place, number)
        await desk.sql(
            f"UPDATE work SET state_since = now() - interval '{100 - number} h' WHERE job_id = '{a_job(number).id}'"
        )

    listed = await desk.unfinished()
    stuck = await desk.unfinished(age_seconds_min=99 * 3600)
    waiting = await desk.unfinished(state=job_admin_service_pb2.JOB_STATE_PENDING)

    assert [
        (job.job_id, text_of(job_admin_service_pb2.JobState.DESCRIPTOR, job.state)) for job in listed
    ] == [
        (a_job(1).id, "processing"),
        (a_job(2).id, "pending"),
        (a_job(4).id, "stored"),
    ]
    assert (listed[0].route, listed[0].task_id, listed[0].age_seconds // 3600) == ("ark", "cgt-1", 99)
    assert (listed[0].account_id, environment_of(listed[0].environment), listed[0].model) == (
        "acct_1",
        "live",
        "mini",
    )
    assert not listed[1].HasField("route")
    assert not listed[1].HasField("task_id")
    assert [job.job_id for job in stuck] == [a_job(1).id]
    assert [job.job_id for job in waiting] == [a_job(2).id]
    assert [job.job_id for job in await desk.unfinished(page_size=1)] == [a_job(1).id]
    assert await desk.unfinished(age_seconds_min=2**63 - 1) == []


async def test_unfinished_jobs_are_paged_without_a_gap(desk: Desk) -> None:
    for number in range(1, 6):
        await desk.at("pending", number)
    await desk.sql("UPDATE work SET state_since = date_trunc('minute', state_since)")
    whole = [job.job_id for job in await desk.unfinished()]

    found: list[str] = []
    token = ""
    for _ in range(3):
        request = job_admin_service_pb2.ListUnfinishedJobsRequest(page_size=2, page_token=token)
        page = await desk.jobs.ListUnfinishedJobs(request)
        found += [job.job_id for job in page.jobs]
        token = page.next_page_token

    assert (found, token) == (whole, "")
    assert len(whole) == 5


@pytest.mark.parametrize("place", ["pending", "submitting", "processing"])
async def test_a_job_given_up_fails_and_whoever_had_it_changes_nothing_more(desk: Desk, place: str) -> None:
    held = await desk.at(place)

    await desk.fail()

    with pytest.raises(LeaseLostError):
        await desk.work.postpone(held, seconds=0)
    [claim] = await desk.work.claim(limit=1, lease_seconds=60)
    await desk.end(claim)
    job = await desk.job()
    assert (job.status, job.failure) == (Status.FAILED, FailureCode.GENERATION_FAILED)
    assert (job.charged_micros, job.refunded_micros) == (0, RESERVED)
    assert desk.ledger.state == {JOB_ID: "released"}
    closed = [] if place == "pending" else [{"outcome": "failed", "detail": "operator"}]
    assert await desk.sql("SELECT outcome, detail FROM attempts") == closed
    assert await desk.sql("SELECT type FROM outbox") == [{"type": "video.generation.failed"}]
    assert desk.notified == [True]
    [entry] = await desk.entries()
    assert (entry.action, entry.subject_id, entry.actor, entry.reason) == (
        "job.fail",
        JOB_ID,
        NOTE.actor,
        NOTE.reason,
    )
    assert json.loads(entry.details_json) == {"state": place}


async def test_giving_a_job_up_again_changes_nothing(desk: Desk) -> None:
    await desk.at("processing")
    await desk.fail()
    [claim] = await desk.work.claim(limit=1, lease_seconds=60)

    await desk.fail()
    await desk.end(claim)
    await desk.fail()

    assert await desk.actions() == ["job.fail"]
    assert (await desk.job()).status is Status.FAILED


async def test_a_job_that_is_failing_by_itself_needs_no_operator(desk: Desk) -> None:
    await desk.at("failing")

    await desk.fail()

    assert (await desk.job()).failure is FailureCode.TIMEOUT
    assert await desk.actions() == []


@pytest.mark.parametrize(
    ("place", "reason", "message"),
    [
        (
            "stored",
            Reason.JOB_STORED,
            f"The result of job {JOB_ID} is stored: it is about to complete. It can be refunded after that.",
        ),
        ("completed", Reason.JOB_ENDED, f"Job {JOB_ID} has ended: it is completed."),
        ("failed", Reason.JOB_ENDED, f"Job {JOB_ID} has ended: it is failed."),
    ],
)
async def test_a_job_that_is_past_it_cannot_be_given_up(
    desk: Desk, place: str, reason: Reason, message: str
) -> None:
    await desk.at(place)
    before = await desk.job()

    with pytest.raises(ServiceError) as refused:
        await desk.fail()

    assert (refused.value.reason, refused.value.message) == (reason, message)
    assert await desk.job() == before
    assert (await desk.actions(), desk.notified) == ([], [])


async def test_a_postponed_job_is_due_at_once_when_it_is_to_be_rechecked(desk: Desk) -> None:
    await desk.work.postpone(await desk.at("processing"), seconds=3600, checked=True)

    await desk.recheck()

    [claim] = await desk.work.claim(limit=1, lease_seconds=60)
    assert (claim.job.id, claim.check_count) == (JOB_ID, 0)
    assert (await desk.actions(), desk.notified) == (["job.recheck"], [True])


async def test_a_recheck_during_a_lease_is_not_lost(desk: Desk) -> None:
    claim = await desk.at("processing")

    await desk.recheck()
    await desk.work.postpone(claim, seconds=3600, checked=True)

    assert [again.job.id for again in await desk.work.claim(limit=1, lease_seconds=60)] == [JOB_ID]


async def test_a_job_that_has_ended_cannot_be_rechecked(desk: Desk) -> None:
    await desk.at("completed")

    with pytest.raises(ServiceError) as refused:
        await desk.recheck()

    assert refused.value.reason is Reason.JOB_ENDED
    assert await desk.actions() == []


async def test_a_refund_gives_back_all_that_was_charged_and_usage_says_so(desk: Desk) -> None:
    await desk.at("completed")

    amount = await desk.refund("r1")

    assert amount == RESERVED
    assert desk.ledger.refunds == {"r1": (JOB_ID, RESERVED, NOTE.reason)}
    job = await desk.job()
    assert (job.charged_micros, job.refunded_micros, job.returned_micros) == (RESERVED, 0, RESERVED)
    for table in ("usage_daily", "usage_hourly"):
        [usage] = await desk.sql(f"SELECT charged_micros, refunded_micros FROM {table}")
        assert usage == {"charged_micros": RESERVED, "refunded_micros": RESERVED}
    [entry] = await desk.entries()
    assert (entry.action, entry.subject_id) == ("job.refund", JOB_ID)
    assert json.loads(entry.details_json) == {"refund_id": "r1", "amount_micros": RESERVED}


async def test_a_refund_made_again_gives_nothing_more(desk: Desk) -> None:
    await desk.at("completed")

    amounts = [await desk.refund("r1", 20_000_000) for _ in range(2)]

    assert amounts == [20_000_000, 20_000_000]
    assert (await desk.job()).returned_micros == 20_000_000
    assert await desk.actions() == ["job.refund"]


async def test_what_was_given_back_before_is_not_given_back_again(desk: Desk) -> None:
    await desk.at("completed")
    await desk.refund("r1", 20_000_000)

    with pytest.raises(ServiceError) as refused:
        await desk.refund("r2", RESERVED - 20_000_000 + 1)
    rest = await desk.refund("r3")
    with pytest.raises(ServiceError) as empty:
        await desk.refund("r4")

    assert rest == RESERVED - 20_000_000
    assert refused.value.reason is empty.value.reason is Reason.REFUND_ABOVE_CHARGE
    assert refused.value.message == f"Of what job {JOB_ID} was charged, 30 credits can still be refunded."
    assert (await desk.job()).returned_micros == RESERVED
    assert desk.ledger.refunds.keys() == {"r1", "r3"}


async def test_refunds_side_by_side_never_give_back_more_than_was_charged(desk: Desk) -> None:
    await desk.at("completed")

    answers = await asyncio.gather(
        *(desk.refund(f"r{number}", 10_000_000) for number in range(20)), return_exceptions=True
    )

    assert answers.count(10_000_000) == RESERVED // 10_000_000
    refusals = {answer.reason for answer in answers if isinstance(answer, ServiceError)}
    assert refusals == {Reason.REFUND_ABOVE_CHARGE}
    assert (await desk.job()).returned_micros == RESERVED


@pytest.mark.parametrize("place", ["pending", "stored", "failed"])
async def test_only_a_completed_job_can_be_refunded(desk: Desk, place: str) -> None:
    await desk.at(place)

    with pytest.raises(ServiceError) as refused:
        await desk.refund("r1")

    assert refused.value.reason is Reason.JOB_NOT_COMPLETED
    assert (await desk.actions(), desk.ledger.refunds) == ([], {})


async def test_a_refund_id_stands_for_one_job_and_amount(desk: Desk) -> None:
    await desk.at("completed", 1)
    await desk.at("completed", 2)
    await desk.refund("r1", 10_000_000)

    for other in (desk.refund("r1", 20_000_000), desk.refund("r1", 10_000_000, job_id=a_job(2).id)):
        with pytest.raises(ServiceError) as refused:
            await other
        assert refused.value.reason is Reason.REFUND_MISMATCH

    assert await desk.refund("r1") == 10_000_000
    assert desk.ledger.refunds == {"r1": (JOB_ID, 10_000_000, NOTE.reason)}


async def test_one_refund_id_for_two_jobs_at_once_refunds_one(desk: Desk) -> None:
    for number in (1, 2):
        await desk.at("completed", number)

    answers = await asyncio.gather(
        *(desk.refund("r1", job_id=a_job(number).id) for number in (1, 2)), return_exceptions=True
    )

    [refused] = [answer for answer in answers if isinstance(answer, ServiceError)]
    assert refused.reason is Reason.REFUND_MISMATCH
    assert len(desk.ledger.refunds) == len(await desk.actions()) == 1


async def test_unknown_jobs_and_changes_without_a_name_are_refused(desk: Desk) -> None:
    for change in (desk.fail("vid_none"), desk.recheck("vid_none"), desk.refund("r1", job_id="vid_none")):
        with pytest.raises(ServiceError) as refused:
            await change
        assert refused.value.reason is Reason.JOB_NOT_FOUND
    await desk.at("completed")
    nameless = (
        desk.jobs.FailJob(job_admin_service_pb2.FailJobRequest(job_id=JOB_ID)),
        desk.jobs.RecheckJob(job_admin_service_pb2.RecheckJobRequest(job_id=JOB_ID, audit=AuditNote())),
        desk.jobs.RefundJob(job_admin_service_pb2.RefundJobRequest(refund_id="r1", job_id=JOB_ID)),
        desk.refund("r1", 0),
        desk.refund("r1", -1),
    )

    for change in nameless:
        with pytest.raises(ServiceError) as refused:
            await change
        assert refused.value.reason is Reason.INVALID_FIELD
    assert (await desk.actions(), desk.ledger.refunds) == ([], {})


async def test_changes_are_listed_newest_first_and_by_subject(desk: Desk) -> None:
    for number in (1, 2, 3):
        await desk.at("processing", number)
        await desk.recheck(a_job(number).id)

    entries = await desk.entries()
    older = await desk.entries(page_token=str(entries[0].number), page_size=1)
    of_one = await desk.entries(subject_id=JOB_ID)

    assert [entry.subject_id for entry in entries] == [a_job(number).id for number in (3, 2, 1)]
    assert [entry.subject_id for entry in older] == [a_job(2).id]
    assert [entry.subject_id for entry in of_one] == [JOB_ID]
    assert entries[0].occurred_at.endswith("Z")


@pytest.mark.parametrize(
    "change", ["UPDATE audit SET actor = 'nobody'", "DELETE FROM audit", "TRUNCATE audit"]
)
async def test_what_was_done_cannot_be_altered(desk: Desk, change: str) -> None:
    await desk.at("processing")
    await desk.recheck()

    with pytest.raises(psycopg.errors.RestrictViolation):
        await desk.sql(change)

    assert await desk.actions() == ["job.recheck"]
