from dataclasses import replace
from datetime import UTC, datetime

import pytest

from services.common.clock import utc_now
from services.common.errors import Reason, ServiceError
from services.common.idempotency.reservation import ReservedId
from services.jobs.convert import nextapi, seedancee2
from services.jobs.domain.job import Job
from services.jobs.domain.states import Status
from services.jobs.operations.idempotent_creation import find_reserved, store_reserved
from tests.fakes.jobs import FakeJobs, FakeLedger
from tests.unit.jobs.samples import JOB, OWNER, a_job

REPEATED = ReservedId(id=JOB.id, is_repeated=True)


@pytest.mark.parametrize("status", Status)
async def test_a_job_is_found_as_it_was_accepted_in_both_contracts(status: Status) -> None:
    jobs = FakeJobs(jobs={JOB.id: a_job(status=status, started_at=datetime(2026, 6, 29, 10, 1, tzinfo=UTC))})

    found = await find_reserved(REPEATED, owner=OWNER, jobs=jobs)

    assert found
    assert seedancee2.render_created(found) == seedancee2.render_created(JOB)
    assert nextapi.render_created(found) == nextapi.render_created(JOB)


async def test_a_first_run_looks_for_nothing() -> None:
    jobs = FakeJobs(jobs={JOB.id: JOB})

    assert await find_reserved(None, owner=OWNER, jobs=jobs) is None
    assert await find_reserved(ReservedId(id=JOB.id, is_repeated=False), owner=OWNER, jobs=jobs) is None


@pytest.mark.parametrize("is_repeated", [False, True])
async def test_what_is_refused_because_too_many_are_unfinished_holds_nothing(is_repeated: bool) -> None:
    ledger = FakeLedger(available_micros={(OWNER.account_id, OWNER.environment): JOB.reserved_micros})
    job = replace(JOB, created_at=utc_now())

    async def refuse(_job: Job) -> None:
        raise ServiceError(Reason.JOB_LIMIT_REACHED, "Too many.")

    with pytest.raises(ServiceError) as refused:
        await store_reserved(
            job, ReservedId(id=JOB.id, is_repeated=is_repeated), store=refuse, jobs=FakeJobs(), ledger=ledger
        )

    assert refused.value.reason is Reason.JOB_LIMIT_REACHED
    assert ledger.state == {JOB.id: "released"}
