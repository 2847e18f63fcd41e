"""A store of jobs and a ledger with balances, in memory."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from typing_extensions import override

from services.common.errors import Reason, ServiceError
from services.jobs.domain.job import Job, UsageCount
from services.jobs.domain.ledger import Hold
from services.jobs.domain.offers import PriceList
from services.jobs.domain.requests import CAPS_DEFAULT, Buyer, Caps, NewJob, Owner
from services.jobs.domain.states import Status
from services.jobs.ports import Funds, Jobs, Prices
from tests.fakes.upstream import MemoryLedger


@dataclass
class FakeJobs(Jobs):
    """Fulfils Jobs in the plainest way: everything is counted anew each time."""

    jobs: dict[str, Job] = field(default_factory=dict)
    outage: Exception | None = None

    @override
    def refuse_if_full(self, owner: Owner) -> None:
        pass

    @override
    async def create(self, job: Job, *, caps: Caps = CAPS_DEFAULT) -> None:
        if self.outage is not None:
            raise self.outage
        self.jobs.setdefault(job.id, job)

    @override
    async def find(self, job_id: str, *, owner: Owner) -> Job | None:
        found = self.jobs.get(job_id)
        return found if found is not None and found.owner == owner else None

    @override
    async def newest(
        self, *, owner: Owner, status: Status | None, before_id: str | None, limit: int, offset: int = 0
    ) -> list[Job]:
        found = [
            job
            for job in self._of(owner)
            if (status is None or job.status is status) and (before_id is None or job.id < before_id)
        ]
        return sorted(found, key=lambda job: job.id, reverse=True)[offset : offset + limit]

    @override
    async def usage(self, *, owner: Owner, start: datetime, end: datetime) -> list[UsageCount]:
        groups: defaultdict[tuple[date, str], list[Job]] = defaultdict(list)
        for job in self._of(owner):
            if start <= job.created_at <= end:
                groups[job.created_at.astimezone(UTC).date(), job.model].append(job)
        return [_count(day, model, found) for (day, model), found in groups.items()]

    def _of(self, owner: Owner) -> list[Job]:
        return [job for job in self.jobs.values() if job.owner == owner]


def _count(day: date, model: str, found: list[Job]) -> UsageCount:
    statuses = [job.status for job in found]
    return UsageCount(
        day=day,
        model=model,
        pending=statuses.count(Status.PENDING),
        processing=statuses.count(Status.PROCESSING),
        completed=statuses.count(Status.COMPLETED),
        failed=statuses.count(Status.FAILED),
        charged_micros=sum(job.charged_micros + job.refunded_micros for job in found),
        refunded_micros=sum(job.refunded_micros + job.returned_micros for job in found),
    )


@dataclass
class FakeLedger(MemoryLedger, Funds):
    """A ledger that also knows what an account has: what holds set aside is no longer available."""

    available_micros: dict[tuple[str, str], int] = field(default_factory=dict)
    """By account and environment."""

    @override
    async def hold(self, hold_id: str, *, owner: Owner, key_id: str, amount_micros: int) -> Hold:
        if hold_id in self.state:
            return await super().hold(hold_id, owner=owner, key_id=key_id, amount_micros=amount_micros)
        purse = (owner.account_id, owner.environment)
        if self.available_micros.get(purse, 0) < amount_micros:
            raise ServiceError(Reason.CREDITS_INSUFFICIENT, "Your credit balance is too low. Please top up.")
        self.available_micros[purse] -= amount_micros
        return await super().hold(hold_id, owner=owner, key_id=key_id, amount_micros=amount_micros)

    @override
    async def available(self, owner: Owner) -> int:
        self._reachable()
        return self.available_micros.get((owner.account_id, owner.environment), 0)


@dataclass
class FakePrices(Prices):
    """Prices as a test sets them."""

    known: PriceList

    @override
    async def current(self) -> PriceList:
        return self.known


async def accepts_all(wanted: NewJob, buyer: Buyer, job_id: str) -> str:
    """Fulfils Moderate: judges nothing."""
    return "off"
