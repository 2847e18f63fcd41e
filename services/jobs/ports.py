"""What the jobs service needs from the world."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from services.common.audit.note import AuditNote
from services.common.verification.checks import Page
from services.jobs.books import (
    Hold,
    JobRecord,
    Refund,
    RefundRefusal,
    RefusedEvent,
    Standing,
    UnfinishedJob,
    UsagePart,
    WantedRefund,
)
from services.jobs.domain import (
    CAPS_DEFAULT,
    Attempt,
    Caps,
    Claim,
    FailureCode,
    Job,
    Kept,
    NewEvent,
    OutboxEvent,
    Output,
    Owner,
    PriceList,
    Route,
    State,
    Status,
    Stray,
    StrayEnd,
    UnusableReference,
    UsageCount,
)
from services.upstream.provider import Provider

Providers = Mapping[str, Mapping[str, Provider]]
"""By environment, then by the name that routes carry. What an environment has not, its jobs cannot reach."""

NOBODY_BUSY: Mapping[Owner, int] = {}


class Jobs(Protocol):
    """Jobs as customers create and read them. Every read is an index range of bounded length."""

    def refuse_if_full(self, owner: Owner) -> None:
        """Refuses with JOB_LIMIT_REACHED while what `create` refused a moment ago would be refused again."""

    async def create(self, job: Job, *, caps: Caps = CAPS_DEFAULT) -> None:
        """Stores a job and makes it due, in one commit, unless there is one with its id.

        A job above the caps waits for a place at a provider instead. Refuses with JOB_LIMIT_REACHED when as many of the
        account are unfinished as may be, and with UNAVAILABLE a job that was created
        more than CREATION_SECONDS_MAX ago: its hold may be taken for one that nobody needs.
        """

    async def get(self, job_id: str, *, owner: Owner) -> Job | None:
        """Returns the owner's job."""

    async def newest(
        self, *, owner: Owner, status: Status | None, before_id: str | None, limit: int, offset: int = 0
    ) -> list[Job]:
        """Returns the owner's jobs from newest to oldest, those before `before_id` only, without the first `offset`."""

    async def usage(self, *, owner: Owner, start: datetime, end: datetime) -> list[UsageCount]:
        """Returns counts of the owner's jobs created from `start` to `end`, both included, by day and model."""


class Stages(Protocol):
    """Jobs as those who wait for them follow them."""

    async def moved(self, known: Mapping[str, int]) -> list[Job]:
        """Returns those of these jobs that are further than the stage known of each."""


class Work(Protocol):
    """Unfinished jobs as workers move them. What takes a claim raises LeaseLostError once another has the job."""

    async def claim(
        self,
        *,
        limit: int,
        lease_seconds: float,
        fetching: bool = False,
        busy: Mapping[Owner, int] = NOBODY_BUSY,
        share_max: int | None = None,
    ) -> list[Claim]:
        """Takes due jobs that nobody holds; accounts take turns, the longest due first. The claims are counted.

        `fetching` takes those whose result awaits its fetch, and no others. With the jobs that `busy` says are under
        way of each owner, none gets more than `share_max`.
        """

    async def renew(self, claims: Sequence[Claim], *, lease_seconds: float) -> None:
        """Holds on to jobs; those lost meanwhile are left alone."""

    async def postpone(
        self, claim: Claim, *, seconds: float, checked: bool = False, awaits_fetch: bool = False
    ) -> None:
        """Lets go of a job until it is due again: at once if a callback woke it after it was claimed.

        `checked` counts a question to the provider. One that awaits its fetch is claimed by those who fetch.
        """

    async def stall(self, claim: Claim, *, seconds: float, error: str, is_outage: bool) -> None:
        """Lets go of a job whose step failed, until it is due again, and keeps what it failed with.

        An outage of our own does not count as a claim without a move.
        """

    async def open_attempt(self, claim: Claim, *, route: Route, token: str) -> Claim:
        """Moves PENDING to SUBMITTING with a new attempt on record, and keeps the lease."""

    async def note_stray(self, attempt_id: str, task_id: str) -> None:
        """Puts on record what was started for an attempt; it is a stray when the attempt is closed."""

    async def drop_attempt(self, claim: Claim, *, outcome: str, detail: str, seconds: float) -> None:
        """Closes an attempt that surely started nothing: SUBMITTING to PENDING, due in `seconds`."""

    async def adopt_task(self, claim: Claim, *, task_id: str, seconds: float, event: NewEvent | None) -> None:
        """Moves SUBMITTING to PROCESSING with the provider's task, due in `seconds`, and tells of it."""

    async def note_running(self, claim: Claim, *, started_at: datetime, event: NewEvent | None) -> Claim:
        """Puts on record when a job in PROCESSING was first seen to render, tells of it, and keeps the lease."""

    async def keep_output(
        self, claim: Claim, output: Output, *, started_at: datetime, event: NewEvent | None
    ) -> Claim:
        """Moves PROCESSING to STORED, and keeps the lease. The event tells that the job renders, if none has."""

    async def give_up(
        self,
        claim: Claim,
        *,
        failure: FailureCode,
        detail: str,
        may_run: bool = False,
        unusable: UnusableReference | None = None,
    ) -> Claim:
        """Moves to FAILING, and keeps the lease. With `may_run` the provider's task, if one is known, is a stray."""

    async def finish(self, claim: Claim, job: Job, *, event: NewEvent | None) -> None:
        """Ends a job in one transaction: what the customer sees, usage, the event."""

    async def wake(self, token: str, *, claimed_task_id: str | None) -> bool:
        """Makes the job of an attempt due at once. Returns whether there is such an unfinished attempt.

        What is named for one that is closed without a task is a stray.
        """


class Strays(Protocol):
    """Tasks at providers that no job waits for."""

    async def take_due(self) -> Stray | None:
        """Returns the stray task that is due longest. Nobody else gets it within a minute."""

    async def end(self, stray: Stray, outcome: StrayEnd) -> None:
        """Notes what became of a stray task. It is not due any more."""


MayFetch = Callable[[Claim], bool]
"""Returns whether the result of a claimed job may be fetched now: whether those who fetch had room for it."""

RenderEvent = Callable[[Job, Job, datetime], NewEvent | None]
"""Returns what the customer is told of a change: the job before it, the job after it, and when it was made."""


class Waiting(Protocol):
    """Jobs above the caps of their account or key: each waits for a place at a provider, and no worker gets it."""

    async def admit(self) -> int:
        """Gives free places to the oldest jobs that may have them. Returns how many jobs were let in."""

    async def overdue(self, *, wait_seconds_max: float, limit: int) -> list[str]:
        """Returns the ids of jobs that have waited longer than this, the longest first."""


class Withdrawals(Protocol):
    """Unfinished jobs as they are taken away from whoever has them."""

    async def withdraw(self, job_id: str, *, failure: FailureCode, lease_seconds: float) -> Claim | None:
        """Moves a job from PENDING to FAILING and takes it, whoever has it. None: it is not PENDING."""

    async def attempt(self, job_id: str) -> Attempt | None:
        """Returns the attempt of a job in PROCESSING. None: it is not in PROCESSING."""

    async def steal_lease(self, job_id: str, *, lease_seconds: float) -> Claim | None:
        """Takes a job in PROCESSING, whoever has it. None: it is not in PROCESSING."""

    async def state(self, job_id: str) -> State | None:
        """Returns the state of a job. None: it has ended."""


class Controls(Protocol):
    """What operators do to unfinished jobs. Every change leaves an audit entry in the same commit."""

    async def unfinished(
        self, *, state: State | None, age_seconds_min: int, stalled: bool, limit: int
    ) -> list[UnfinishedJob]:
        """Returns unfinished jobs that have been in their state for so long, the longest first.

        `stalled`: only those that do not move.
        """

    async def stalled_count(self) -> int:
        """Returns how many jobs do not move, as far as they are counted."""

    async def fail(self, job_id: str, *, failure: FailureCode, note: AuditNote) -> bool:
        """Moves a job to FAILING, whoever holds it, and makes it due; from where operators may give one up only.

        Returns whether it was so moved.
        """

    async def recheck(self, job_id: str, *, note: AuditNote) -> bool:
        """Makes an unfinished job due at once. Returns whether there is one."""

    async def standing(self, job_id: str) -> Standing | None:
        """Returns where a job is."""


class Refunds(Protocol):
    """What operators give back for completed jobs. Idempotent by refund id."""

    async def register(self, wanted: WantedRefund) -> Refund | RefundRefusal:
        """Puts a refund on record with its audit entry, or returns the one that is: from then on it will be made."""

    async def take_due(self, *, limit: int) -> list[Refund]:
        """Returns refunds that somebody registered a while ago and that are not applied. Nobody else gets them soon."""

    async def apply(self, refund_id: str) -> None:
        """Counts a refund to its job and to usage, once."""


class Repairs(Protocol):
    """What is put right about jobs whose hold is not where it should be. Each change leaves an audit entry."""

    async def give_up(self, job_id: str, *, failure: FailureCode, action: str, note: AuditNote) -> None:
        """Moves an unfinished job to FAILING, whoever has it, and makes it due."""

    async def hurry(self, job_id: str, *, action: str, note: AuditNote) -> None:
        """Makes a job in STORED due at once."""

    async def note(
        self, subject_id: str, *, action: str, note: AuditNote, details: Mapping[str, object]
    ) -> None:
        """Puts on record what billing is about to be asked for."""

    async def waive(self, job_id: str, *, action: str, note: AuditNote) -> None:
        """Makes a completed job one that was charged nothing, in usage too. Repeating it changes nothing."""

    async def refunds_of(self, job_id: str) -> list[Refund]:
        """Returns the refunds that were counted to a job, oldest first."""

    async def note_refund(self, refund: Refund, *, action: str, note: AuditNote) -> None:
        """Counts a refund to its job that billing has made. Repeating it changes nothing."""


class Outbox(Protocol):
    """Events on their way to the webhooks service."""

    async def oldest(self, *, limit: int) -> list[OutboxEvent]:
        """Returns events that are due, oldest first."""

    async def remove(self, event_ids: Sequence[str]) -> None:
        """Forgets events that were taken over."""

    async def set_aside(self, event_id: str, *, refusal: str, seconds: float) -> None:
        """Lets an event wait that was refused, and the later ones of its job with it."""


class RefusedEvents(Protocol):
    """Events that the webhooks service refused, for operators."""

    async def oldest(self, *, limit: int) -> list[RefusedEvent]:
        """Returns refused events, oldest first."""

    async def count(self) -> int:
        """Returns how many there are, as far as they are counted."""

    async def retry(self, event_id: str | None, *, note: AuditNote) -> int:
        """Makes one due, or as many of the oldest as one call may, each with an audit entry in the same commit.

        Returns how many were not due.
        """

    async def waits(self, event_id: str) -> bool:
        """Returns whether an event was refused and is not handed over yet."""


class Intake(Protocol):
    """The webhooks service, as events enter it."""

    async def accept(self, events: Sequence[OutboxEvent]) -> None:
        """Hands events over, durably. Repeating it is harmless."""


class Ledger(Protocol):
    """The credits of accounts. Idempotent by hold id, which is the job id."""

    async def hold(self, hold_id: str, *, owner: Owner, key_id: str, amount_micros: int) -> Hold:
        """Sets credits aside, counted to the account and the key, or returns the hold that there is, whatever its state.

        Refuses with CREDITS_INSUFFICIENT or SPEND_LIMIT_EXCEEDED.
        """

    async def find(self, hold_id: str) -> Hold | None:
        """Returns a hold as it is."""

    async def confirm(self, hold_id: str, *, lasts_seconds: int) -> None:
        """Makes the hold last so long from now, at least. Refuses with HOLD_EXPIRED."""

    async def capture(self, hold_id: str, *, amount_micros: int) -> None:
        """Takes credits and gives the rest back. Refuses with HOLD_EXPIRED, when they went back before."""

    async def release(self, hold_id: str) -> None:
        """Gives all credits back. Refuses with HOLD_EXPIRED, when they went back before."""

    async def refund(self, refund_id: str, *, hold_id: str, amount_micros: int, reason: str) -> None:
        """Gives credits back that were taken. Idempotent by refund id."""


class Funds(Protocol):
    """What accounts have."""

    async def available(self, owner: Owner) -> int:
        """Returns the micro-credits that can be spent."""


class Prices(Protocol):
    """What jobs cost."""

    async def current(self) -> PriceList:
        """Returns the prices of a few seconds ago at most, or the last that are known while nobody answers.

        Refuses with UNAVAILABLE when none are known.
        """


class Holds(Protocol):
    """What billing knows about the credits set aside for jobs."""

    async def get(self, hold_ids: Sequence[str]) -> list[Hold]:
        """Returns the holds with these ids that there are."""

    async def page(self, *, after_id: str, holds_max: int) -> list[Hold]:
        """Returns the holds with the lowest ids after one, lowest first."""


class UnconfirmedHolds(Protocol):
    """What billing knows about the credits set aside for jobs that are not begun."""

    async def unconfirmed(self, *, age_seconds_min: int, after_id: str, holds_max: int) -> list[Hold]:
        """Returns holds of jobs not begun, of at least this age, with the lowest ids after one, lowest first."""


class Records(Protocol):
    """Jobs and their usage, as they are checked."""

    async def get(self, job_ids: Sequence[str]) -> list[JobRecord]:
        """Returns the jobs with these ids that there are."""

    async def page(self, *, after_id: str, jobs_max: int) -> list[JobRecord]:
        """Returns the jobs with the lowest ids after one, lowest first, as they all were at one moment."""

    async def usage_page(self, part: UsagePart, after: Sequence[Any], *, rows_max: int) -> Page:
        """Checks the roll-ups that follow a key, as they all were at one moment."""


@dataclass(frozen=True, kw_only=True)
class StagedObject:
    """A part of a result that lies where nobody can read it."""

    name: str
    job_id: str


class Media(Protocol):
    """Where results are kept: staged, where nobody can read them, until their job is sure to complete.

    `secret` is the token of the attempt that made the result. Methods raise ResultUnavailableError.
    """

    async def keep(self, job: Job, *, source_url: str, secret: str) -> Output:
        """Fetches, checks and stages a result. Repeating it overwrites the same objects.

        Raises ResultRejectedError, too.
        """

    async def publish(self, job: Job, *, secret: str) -> None:
        """Makes a staged result public at the addresses of its output. Repeating it is harmless."""

    async def discard(self, job: Job, *, secret: str) -> None:
        """Deletes a result wherever it lies. Repeating it is harmless."""


class Staged(Protocol):
    """What is staged, object by object. Methods raise ResultUnavailableError."""

    def staged_before(self, moment: datetime) -> AsyncIterator[Sequence[StagedObject]]:
        """Returns, in batches, what has been staged since before a moment."""

    async def delete_fragments(self, moment: datetime) -> int:
        """Deletes what was left of staging that was cut off before a moment. Returns how many files."""

    async def publish_one(self, staged: StagedObject, job: Job) -> None:
        """Makes one staged object of a job public, or deletes it if the job has one already."""

    async def discard_one(self, staged: StagedObject) -> None:
        """Deletes one staged object."""


class AnyJobs(Protocol):
    """Jobs by their ids, whoever owns them."""

    async def get(self, job_ids: Sequence[str]) -> list[Job]:
        """Returns the jobs with these ids that there are."""


class Retention(Protocol):
    """Ended jobs, as what is old of them is forgotten."""

    async def accounts(self, kind: Kept, *, after: str, limit: int) -> list[str]:
        """Returns the first accounts after one of whose ended jobs something is kept."""

    async def aged(self, kind: Kept, *, days: Mapping[str, int], each_max: int) -> list[Job]:
        """Returns, of each account, jobs that ended so many days ago and of which something is kept, oldest first.

        None has a refund under way.
        """

    async def delete_content(self, jobs: Sequence[Job]) -> None:
        """Forgets, in one commit, what customers said in these jobs, and the attempts at them."""

    async def note_media_deleted(self, jobs: Sequence[Job]) -> None:
        """Notes that there are no media of these jobs any more."""


class Moderator(Protocol):
    """Somebody else's judgement of prompts."""

    async def category_of(self, prompt: str) -> str | None:
        """Returns the category a prompt is flagged for, if any. Raises ModeratorUnavailableError."""


class ModeratorUnavailableError(Exception):
    """There was no usable judgement in time. `detail` is for operators and does not hold the prompt."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class ResultUnavailableError(Exception):
    """The result could not be fetched or stored now; asking again may help."""


class ResultRejectedError(Exception):
    """What the provider delivered is not the video that was asked for."""
