"""Interfaces with more than one implementation: the real one, and a double in the tests. Both name the port as base class."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from services.common.verification.checks import Page
from services.jobs.domain.claims import Claim
from services.jobs.domain.events import NewEvent, OutboxEvent
from services.jobs.domain.job import Job, Output, UsageCount
from services.jobs.domain.ledger import Hold, JobRecord, UsagePart
from services.jobs.domain.offers import PriceList
from services.jobs.domain.requests import CAPS_DEFAULT, Caps, Owner
from services.jobs.domain.states import Status
from services.jobs.refusals import job_not_found
from services.upstream.provider import Provider

Providers = Mapping[str, Mapping[str, Provider]]
"""By environment, then by the name that routes carry. What an environment has not, its jobs cannot reach."""


class Jobs(Protocol):
    """Jobs as customers create and read them. Every read is an index range of bounded length."""

    def refuse_if_full(self, owner: Owner) -> None:
        """Refuses with JOB_LIMIT_REACHED if `create` did so a moment ago."""

    async def create(self, job: Job, *, caps: Caps = CAPS_DEFAULT) -> None:
        """Stores a job and makes it due, in one commit, unless a job with its id exists.

        A job above the caps waits for a place at a provider instead. Refuses with JOB_LIMIT_REACHED if the account has
        as many unfinished jobs as it may have, and with UNAVAILABLE if the job was created more than
        CREATION_SECONDS_MAX ago: its hold may already have been released as an orphan.
        """

    async def find(self, job_id: str, *, owner: Owner) -> Job | None:
        """Returns the owner's job if there is one."""

    async def get(self, job_id: str, *, owner: Owner) -> Job:
        """Returns the owner's job. Refuses with JOB_NOT_FOUND, for other owners' jobs too."""
        found = await self.find(job_id, owner=owner)
        if found is None:
            raise job_not_found(job_id)
        return found

    async def newest(
        self, *, owner: Owner, status: Status | None, before_id: str | None, limit: int, offset: int = 0
    ) -> list[Job]:
        """Returns the owner's jobs before `before_id`, newest first, without the first `offset`."""

    async def usage(self, *, owner: Owner, start: datetime, end: datetime) -> list[UsageCount]:
        """Returns counts of the owner's jobs created from `start` to `end`, both included, by day and model."""


class Stages(Protocol):
    """How far jobs are, for callers that wait for them."""

    async def moved(self, known: Mapping[str, int]) -> list[Job]:
        """Returns the jobs that are past their known stage."""


MayFetch = Callable[[Claim], bool]
"""Returns whether the result of a claimed job may be fetched now: whether there was capacity to fetch it."""

HeadersFor = Callable[[str], Mapping[str, str]]
"""Returns what a request for a result's address needs beside it, such as a credential."""

RenderEvent = Callable[[Job, Job, datetime], NewEvent | None]
"""Returns the event about a change, if it has one. Takes the job before and after the change, and its time."""


class Intake(Protocol):
    """The webhooks service as the receiver of events."""

    async def accept(self, events: Sequence[OutboxEvent]) -> None:
        """Hands events over durably. Repeating it is harmless."""


class Ledger(Protocol):
    """The credits of accounts. Idempotent by hold id, which is the job id."""

    async def hold(self, hold_id: str, *, owner: Owner, key_id: str, amount_micros: int) -> Hold:
        """Sets credits aside, counted to the account and the key. Returns the existing hold if there is one, in any state.

        Refuses with CREDITS_INSUFFICIENT or SPEND_LIMIT_EXCEEDED.
        """

    async def find(self, hold_id: str) -> Hold | None:
        """Returns the hold in its present state."""

    async def confirm(self, hold_id: str, *, lasts_seconds: int) -> None:
        """Makes the hold last at least `lasts_seconds` from now. Refuses with HOLD_EXPIRED."""

    async def capture(self, hold_id: str, *, amount_micros: int) -> None:
        """Takes credits and gives the rest back. Refuses with HOLD_EXPIRED if all went back before."""

    async def release(self, hold_id: str) -> None:
        """Gives all credits back. Refuses with HOLD_EXPIRED if they went back before."""

    async def refund(self, refund_id: str, *, hold_id: str, amount_micros: int, reason: str) -> None:
        """Gives captured credits back. Idempotent by refund id."""


class Funds(Protocol):
    """What accounts can spend."""

    async def available(self, owner: Owner) -> int:
        """Returns the micro-credits that can be spent."""


class Prices(Protocol):
    """What jobs cost."""

    async def current(self) -> PriceList:
        """Returns prices that are at most a few seconds old, or the last known ones during an outage of billing.

        Refuses with UNAVAILABLE when none are known.
        """


class Holds(Protocol):
    """What billing knows about the credits set aside for jobs."""

    async def get(self, hold_ids: Sequence[str]) -> list[Hold]:
        """Returns the holds with these ids, at most 1,000; unknown ids are left out."""

    async def page(self, *, after_id: str, holds_max: int) -> list[Hold]:
        """Returns the holds that follow `after_id`, in the order of their ids."""


class Records(Protocol):
    """Jobs, their usage, their places and their margins, as the verifier reads them."""

    async def get(self, job_ids: Sequence[str]) -> list[JobRecord]:
        """Returns the jobs with these ids; unknown ids are left out."""

    async def forgotten(self, job_ids: Sequence[str]) -> set[str]:
        """Returns those of these ids whose month is forgotten: if there was such a job, it ended and was settled."""

    async def page(self, *, after_id: str, jobs_max: int) -> list[JobRecord]:
        """Returns the jobs that follow `after_id`, in the order of their ids, from one snapshot."""

    async def usage_page(self, part: UsagePart, after: Sequence[Any], *, rows_max: int) -> Page:
        """Checks the roll-ups that follow a key, from one snapshot."""

    async def places_page(self, after: Sequence[Any], *, rows_max: int) -> Page:
        """Checks what is kept about the places of the accounts and keys that follow a key, from one snapshot."""

    async def margins_page(self, after: Sequence[Any], *, rows_max: int) -> Page:
        """Checks what the days that follow a key brought in and cost, from one snapshot."""


class Media(Protocol):
    """Where results are kept: staged, where nobody can read them, until their job is certain to complete.

    `secret` is the token of the attempt that made the result. Methods raise ResultUnavailableError.
    """

    async def keep(self, job: Job, *, source_url: str, headers_for: HeadersFor, secret: str) -> Output:
        """Fetches, checks and stages a result. Repeating it overwrites the same objects.

        What `headers_for` returns for the address is sent along, and never leaves the address's origin.

        Also raises ResultRejectedError.
        """

    async def publish(self, job: Job, *, secret: str) -> None:
        """Makes a staged result public at the addresses of its output. Repeating it is harmless."""

    async def discard(self, job: Job, *, secret: str) -> None:
        """Deletes a result wherever it lies. Repeating it is harmless."""


class ResultUnavailableError(Exception):
    """The result could not be fetched or stored now; a retry may help."""


class ResultRejectedError(Exception):
    """The provider delivered something other than the requested video."""
