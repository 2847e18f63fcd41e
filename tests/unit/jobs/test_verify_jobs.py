"""A difference between two databases counts only when a second look shows it again."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from typing_extensions import override

from services.common.verification.checks import Page
from services.jobs.domain.ledger import Hold, HoldState, JobRecord, UsagePart
from services.jobs.domain.states import State, Status
from services.jobs.operations.verify_jobs import verify_jobs
from services.jobs.ports import Records

HOLD = Hold(
    hold_id="vid_1",
    account_id="acct_1",
    environment="live",
    amount_micros=50,
    captured_micros=0,
    refunded_micros=0,
    state=HoldState.CONFIRMED,
    created_at=datetime(2026, 7, 1, tzinfo=UTC),
)
JOB = JobRecord(
    job_id="vid_1",
    account_id="acct_1",
    environment="live",
    status=Status.PROCESSING,
    state=State.PROCESSING,
    key_id="key_1",
    contract="seedancee2",
    reserved_micros=50,
    charged_micros=0,
    refunded_micros=0,
    returned_micros=0,
    refunds_applied_micros=0,
    refunds_waiting_micros=0,
    is_counted=False,
)
ENDED = replace(JOB, status=Status.COMPLETED, state=None, charged_micros=50, is_counted=True)
CAPTURED = replace(HOLD, state=HoldState.CAPTURED, captured_micros=50)


@dataclass
class ScriptedRecords(Records):
    """Jobs as they are at each look; the last look lasts."""

    looks: list[list[JobRecord]]
    gone: Sequence[str] = ()

    @override
    async def forgotten(self, job_ids: Sequence[str]) -> set[str]:
        return {*self.gone} & {*job_ids}

    @override
    async def get(self, job_ids: Sequence[str]) -> list[JobRecord]:
        return [job for job in self._look() if job.job_id in job_ids]

    @override
    async def page(self, *, after_id: str, jobs_max: int) -> list[JobRecord]:
        return [job for job in self._look() if job.job_id > after_id][:jobs_max]

    @override
    async def usage_page(self, part: UsagePart, after: Sequence[Any], *, rows_max: int) -> Page:
        return Page(findings=[], checked_count=0, last_key=None)

    @override
    async def places_page(self, after: Sequence[Any], *, rows_max: int) -> Page:
        return Page(findings=[], checked_count=0, last_key=None)

    @override
    async def margins_page(self, after: Sequence[Any], *, rows_max: int) -> Page:
        return Page(findings=[], checked_count=0, last_key=None)

    def _look(self) -> list[JobRecord]:
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]


@dataclass
class ScriptedHolds:
    """Holds as they are at each look; the last look lasts."""

    looks: list[list[Hold]] = field(default_factory=lambda: [[HOLD]])

    async def get(self, hold_ids: Sequence[str]) -> list[Hold]:
        return [hold for hold in self._look() if hold.hold_id in hold_ids]

    async def page(self, *, after_id: str, holds_max: int) -> list[Hold]:
        return [hold for hold in self._look() if hold.hold_id > after_id][:holds_max]

    def _look(self) -> list[Hold]:
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]


async def rules_broken(cursor: str, jobs: list[list[JobRecord]], holds: list[list[Hold]]) -> list[str]:
    verified = await verify_jobs(cursor, records=ScriptedRecords(jobs), holds=ScriptedHolds(holds))
    return [found.rule for found in verified.findings]


async def test_a_job_that_ends_between_the_two_reads_is_no_finding() -> None:
    assert await rules_broken("jobs/", [[JOB], [ENDED]], [[CAPTURED]]) == []


async def test_a_difference_that_stays_is_a_finding() -> None:
    assert await rules_broken("jobs/", [[JOB]], [[CAPTURED]]) == ["job_hold_state"]


async def test_a_refund_under_way_is_no_finding_and_one_that_nobody_knows_is() -> None:
    refunded = [[replace(CAPTURED, refunded_micros=9)]]

    assert await rules_broken("jobs/", [[replace(ENDED, refunds_waiting_micros=9)]], refunded) == []
    assert await rules_broken("jobs/", [[replace(ENDED, refunds_waiting_micros=8)]], refunded) == [
        "job_hold_refunded"
    ]


async def test_a_hold_without_job_is_a_finding_unless_its_credits_go_back() -> None:
    orphans = [
        replace(HOLD, hold_id=state.value, state=state, captured_micros=50 * (state is HoldState.CAPTURED))
        for state in HoldState
    ]
    orphans.append(replace(CAPTURED, hold_id="refunded", refunded_micros=50))

    verified = await verify_jobs("holds/", records=ScriptedRecords([[]]), holds=ScriptedHolds([orphans]))

    assert [found.row for found in verified.findings] == ["holds confirmed", "holds captured"]


async def test_what_was_captured_for_a_forgotten_job_is_no_finding_and_what_is_still_kept_for_one_is() -> (
    None
):
    holds = [replace(HOLD, hold_id="confirmed"), replace(CAPTURED, hold_id="captured")]
    records = ScriptedRecords([[]], gone=["confirmed", "captured"])

    verified = await verify_jobs("holds/", records=records, holds=ScriptedHolds([holds]))

    assert [found.row for found in verified.findings] == ["holds confirmed"]


async def test_a_hold_whose_job_comes_meanwhile_is_no_finding() -> None:
    assert await rules_broken("holds/", [[], [JOB]], [[HOLD]]) == []
