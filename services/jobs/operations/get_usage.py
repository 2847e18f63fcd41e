"""Adding up what an account did."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Self

from services.jobs.domain.job import UsageCount
from services.jobs.domain.requests import Owner
from services.jobs.ports import Jobs


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Jobs by status, and their credits in micro-credits."""

    pending: int
    processing: int
    completed: int
    failed: int
    charged_micros: int
    refunded_micros: int

    @classmethod
    def of(cls, counts: Iterable[UsageCount]) -> Self:
        """Returns the sum."""
        rows = list(counts)
        return cls(
            pending=sum(row.pending for row in rows),
            processing=sum(row.processing for row in rows),
            completed=sum(row.completed for row in rows),
            failed=sum(row.failed for row in rows),
            charged_micros=sum(row.charged_micros for row in rows),
            refunded_micros=sum(row.refunded_micros for row in rows),
        )

    @property
    def total(self) -> int:
        """All jobs."""
        return self.pending + self.processing + self.completed + self.failed

    @property
    def net_micros(self) -> int:
        """What stayed debited."""
        return self.charged_micros - self.refunded_micros


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What was done in a range of creation times, both ends included."""

    start: datetime
    end: datetime
    summary: Tally
    by_model: list[tuple[str, Tally]]
    """By model name; models without jobs are left out."""
    timeline: list[tuple[date, Tally]]
    """UTC days, oldest first; days without jobs are left out."""


async def get_usage(*, owner: Owner, start: datetime, end: datetime, days_max: int, jobs: Jobs) -> Usage:
    """Returns the owner's usage; the timeline holds the newest `days_max` days that have jobs."""
    counts = await jobs.usage(owner=owner, start=start, end=end)
    models: defaultdict[str, list[UsageCount]] = defaultdict(list)
    days: defaultdict[date, list[UsageCount]] = defaultdict(list)
    for count in counts:
        models[count.model].append(count)
        days[count.day].append(count)
    return Usage(
        start=start,
        end=end,
        summary=Tally.of(counts),
        by_model=[(model, Tally.of(models[model])) for model in sorted(models)],
        timeline=[(day, Tally.of(days[day])) for day in sorted(days)[-days_max:]],
    )
