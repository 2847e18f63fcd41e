"""A creation that dies between its two commits: at billing, and at home."""

import asyncio
from dataclasses import dataclass, field

import pytest
from typing_extensions import override

from services.jobs.domain.job import Job
from services.jobs.domain.requests import CAPS_DEFAULT, Caps, NewJob
from tests.fakes.jobs import FakeJobs, FakeLedger
from tests.fakes.operations import job_operations
from tests.unit.jobs.samples import BUYER, INPUT, OWNER

WANTED = NewJob(model="mini", input=INPUT, callback_url=None, metadata_json=None)
JOB_ID = "vid_00000000000000000000000000"
RICH = {(OWNER.account_id, OWNER.environment): 10**9}


@dataclass
class DyingJobs(FakeJobs):
    """A store during whose commit the request dies."""

    death: BaseException = field(default_factory=asyncio.CancelledError)
    is_committed: bool = False

    @override
    async def create(self, job: Job, *, caps: Caps = CAPS_DEFAULT) -> None:
        if self.is_committed:
            await super().create(job, caps=caps)
        raise self.death


async def create(jobs: DyingJobs) -> FakeLedger:
    ledger = FakeLedger(available_micros=dict(RICH))
    with pytest.raises(type(jobs.death)):
        await job_operations(jobs, ledger=ledger, new_id=lambda *_: JOB_ID).create(
            WANTED, buyer=BUYER, id_prefix="vid"
        )
    return ledger


async def test_a_request_that_dies_before_the_job_is_stored_leaves_a_hold_without_a_job() -> None:
    jobs = DyingJobs()

    ledger = await create(jobs)

    assert ledger.state == {JOB_ID: "provisional"}
    assert jobs.jobs == {}


async def test_a_request_that_dies_after_the_job_was_stored_leaves_a_job_that_is_paid_for() -> None:
    jobs = DyingJobs(is_committed=True)

    ledger = await create(jobs)

    assert ledger.state == {JOB_ID: "provisional"}
    await ledger.confirm(JOB_ID, lasts_seconds=1)
    assert jobs.jobs.keys() == {JOB_ID}


async def test_a_commit_of_which_nobody_knows_leaves_a_job_without_a_hold_which_will_be_given_up() -> None:
    jobs = DyingJobs(death=ConnectionError("the answer was lost"), is_committed=True)

    ledger = await create(jobs)

    assert ledger.state == {JOB_ID: "released"}
    assert jobs.jobs.keys() == {JOB_ID}
