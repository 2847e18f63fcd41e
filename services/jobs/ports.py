"""What the jobs service needs from the world."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from services.jobs.domain import (
    Claim,
    FailureCode,
    Job,
    OutboxEvent,
    Output,
    Owner,
    Route,
    Status,
    UsageCount,
)
from services.upstream.contract import Provider

Providers = Mapping[str, Provider]
"""By the name that routes carry."""


class Jobs(Protocol):
    """Jobs as customers create and read them. Every read is an index range of bounded length."""

    async def create(self, job: Job) -> None:
        """Stores a job and makes it due, in one commit."""

    async def get(self, job_id: str, *, owner: Owner) -> Job | None:
        """Returns the owner's job."""

    async def newest(
        self, *, owner: Owner, status: Status | None, before_id: str | None, limit: int
    ) -> list[Job]:
        """Returns the owner's jobs from newest to oldest, those before `before_id` only."""

    async def usage(self, *, owner: Owner, start: datetime, end: datetime) -> list[UsageCount]:
        """Returns counts of the owner's jobs created from `start` to `end`, both included, by day and model."""


class Work(Protocol):
    """Unfinished jobs as workers move them. What takes a claim raises LeaseLostError once another has the job."""

    async def claim(self, *, limit: int, lease_seconds: float) -> list[Claim]:
        """Takes the longest due jobs that nobody holds."""

    async def renew(self, claims: Sequence[Claim], *, lease_seconds: float) -> None:
        """Holds on to jobs; those lost meanwhile are left alone."""

    async def postpone(self, claim: Claim, *, seconds: float, checked: bool = False) -> None:
        """Lets go of a job until it is due again: at once if a callback woke it after it was claimed.

        `checked` counts a question to the provider.
        """

    async def open_attempt(self, claim: Claim, *, route: Route, token: str) -> Claim:
        """Moves PENDING to SUBMITTING with a new attempt on record, and keeps the lease."""

    async def drop_attempt(self, claim: Claim, *, outcome: str, detail: str, seconds: float) -> None:
        """Closes an attempt that surely started nothing: SUBMITTING to PENDING, due in `seconds`."""

    async def adopt_task(self, claim: Claim, *, task_id: str, seconds: float) -> None:
        """Moves SUBMITTING to PROCESSING with the provider's task, due in `seconds`."""

    async def keep_output(self, claim: Claim, output: Output) -> Claim:
        """Moves PROCESSING to STORED, and keeps the lease."""

    async def give_up(self, claim: Claim, *, failure: FailureCode, detail: str) -> Claim:
        """Moves to FAILING, and keeps the lease."""

    async def finish(self, claim: Claim, job: Job, *, event_type: str, event_body: bytes) -> None:
        """Ends a job in one transaction: what the customer sees, usage, the event if somebody is to be told."""

    async def wake(self, token: str, *, claimed_task_id: str | None) -> bool:
        """Makes the job of an attempt due at once. Tells whether there is such an unfinished attempt."""


class Outbox(Protocol):
    """Events on their way to the webhooks service."""

    async def oldest(self, *, limit: int) -> list[OutboxEvent]:
        """Returns events that wait, oldest first."""

    async def remove(self, event_ids: Sequence[str]) -> None:
        """Forgets events that were taken over."""


class Intake(Protocol):
    """The webhooks service, as events enter it."""

    async def accept(self, events: Sequence[OutboxEvent]) -> None:
        """Hands events over, durably. Repeating it is harmless."""


class Ledger(Protocol):
    """The credits of accounts. Idempotent by hold id, which is the job id."""

    async def hold(self, hold_id: str, *, owner: Owner, amount_micros: int) -> None:
        """Sets credits aside. Refuses with CREDITS_INSUFFICIENT."""

    async def confirm(self, hold_id: str) -> None:
        """Makes the hold last. Refuses with HOLD_EXPIRED."""

    async def capture(self, hold_id: str, *, amount_micros: int) -> None:
        """Takes credits and gives the rest back."""

    async def release(self, hold_id: str) -> None:
        """Gives all credits back. Refuses with HOLD_EXPIRED, when they went back before."""


class Media(Protocol):
    """Where results are kept."""

    async def keep(self, job: Job, *, source_url: str) -> Output:
        """Fetches, checks and stores a result. Repeating it overwrites the same objects.

        Raises ResultUnavailableError or ResultRejectedError.
        """


class ResultUnavailableError(Exception):
    """The result could not be fetched or stored now; asking again may help."""


class ResultRejectedError(Exception):
    """What the provider delivered is not the video that was asked for."""
