"""A provider, a media store and a ledger that do what a test says."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from typing_extensions import override

from services.common.clock import utc_now
from services.common.errors import Reason, ServiceError
from services.jobs.domain.job import Job, Output
from services.jobs.domain.ledger import Hold, HoldState
from services.jobs.domain.requests import Owner
from services.jobs.ports import HeadersFor, Holds, Ledger, Media
from services.upstream.provider import Done, Hint, Order, Pending, Refused

Answer = Pending | Done | Refused | Exception


@dataclass
class ScriptedProvider:
    """Fulfils Provider. Tasks are remembered by correlation id, so that a lost answer can be looked for."""

    submit_error: Exception | None = None
    loses_answers: bool = False
    """Whether a task is started although `submit_error` is raised."""
    find_error: Exception | None = None
    answers: list[Answer] = field(default_factory=list)
    """What `check` says, in order; the last one stays."""
    tasks: dict[str, str] = field(default_factory=dict)
    orders: list[Order] = field(default_factory=list)
    cancel_answer: bool | Exception = True
    cancelled: list[str] = field(default_factory=list)
    """Tasks that were to be stopped, in order."""
    checked: list[str] = field(default_factory=list)
    """Tasks that were asked about, in order."""

    async def submit(
        self, order: Order, *, correlation_id: str, callback_url: str | None, timeout_seconds: float
    ) -> str:
        if self.submit_error is None or self.loses_answers:
            self.orders.append(order)
            self.tasks[correlation_id] = f"task-{len(self.orders)}"
        if self.submit_error is not None:
            raise self.submit_error
        return self.tasks[correlation_id]

    async def find(
        self, correlation_id: str, *, model: str, created_after: float, timeout_seconds: float
    ) -> str | None:
        if self.find_error is not None:
            raise self.find_error
        return self.tasks.get(correlation_id)

    async def carries(self, task_id: str, correlation_id: str, *, timeout_seconds: float) -> bool:
        if self.find_error is not None:
            raise self.find_error
        return self.tasks.get(correlation_id) == task_id

    async def check(self, task_id: str, *, timeout_seconds: float) -> Pending | Done | Refused:
        self.checked.append(task_id)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def cancel(self, task_id: str, *, timeout_seconds: float) -> bool:
        self.cancelled.append(task_id)
        if isinstance(self.cancel_answer, Exception):
            raise self.cancel_answer
        return self.cancel_answer

    async def read_callback(self, headers: Mapping[str, str], body: bytes, *, model: str) -> Hint | None:
        """Takes the whole body for the name of a task."""
        return Hint(task_id=body.decode(), is_authentic="signature" in headers)

    def media_headers(self, url: str) -> Mapping[str, str]:
        return {"authorization": f"of {url}"}


@dataclass
class ScriptedMedia(Media):
    """Fulfils Media."""

    duration_seconds: float = 5.0
    error: Exception | None = None
    kept: list[str] = field(default_factory=list)
    publish_error: Exception | None = None
    published: list[str] = field(default_factory=list)
    discarded: list[str] = field(default_factory=list)

    @override
    async def publish(self, job: Job, *, secret: str) -> None:
        if self.publish_error is not None:
            raise self.publish_error
        self.published.append(job.id)

    @override
    async def discard(self, job: Job, *, secret: str) -> None:
        self.discarded.append(job.id)

    @override
    async def keep(self, job: Job, *, source_url: str, headers_for: HeadersFor, secret: str) -> Output:
        if self.error is not None:
            raise self.error
        self.kept.append(job.id)
        return Output(
            video_url=f"https://media.example/{job.id}.mp4",
            thumbnail_url=f"https://media.example/{job.id}.jpg",
            last_frame_url=None,
            duration_seconds=self.duration_seconds,
        )


@dataclass
class MemoryLedger(Ledger, Holds):
    """Fulfils Ledger and Holds with the real one's rules: a hold is resolved once, and repeating a call changes nothing."""

    state: dict[str, str] = field(default_factory=dict)
    amount: dict[str, int] = field(default_factory=dict)
    captured: dict[str, int] = field(default_factory=dict)
    refunds: dict[str, tuple[str, int, str]] = field(default_factory=dict)
    """Hold, amount and reason, by refund id."""
    key_id: dict[str, str] = field(default_factory=dict)
    lasts_seconds: dict[str, int] = field(default_factory=dict)
    made_at: dict[str, datetime] = field(default_factory=dict)
    owner: dict[str, Owner] = field(default_factory=dict)
    outage: Exception | None = None

    @override
    async def hold(self, hold_id: str, *, owner: Owner, key_id: str, amount_micros: int) -> Hold:
        self._reachable()
        self.state.setdefault(hold_id, "provisional")
        self.amount.setdefault(hold_id, amount_micros)
        self.key_id.setdefault(hold_id, key_id)
        self.made_at.setdefault(hold_id, utc_now())
        self.owner.setdefault(hold_id, owner)
        return self._hold(hold_id)

    @override
    async def find(self, hold_id: str) -> Hold | None:
        self._reachable()
        return self._hold(hold_id) if hold_id in self.state else None

    @override
    async def get(self, hold_ids: Sequence[str]) -> list[Hold]:
        self._reachable()
        return [self._hold(hold_id) for hold_id in hold_ids if hold_id in self.state]

    @override
    async def page(self, *, after_id: str, holds_max: int) -> list[Hold]:
        return [self._hold(hold_id) for hold_id in sorted(self.state) if hold_id > after_id][:holds_max]

    def _hold(self, hold_id: str) -> Hold:
        owner = self.owner[hold_id]
        return Hold(
            hold_id=hold_id,
            account_id=owner.account_id,
            environment=owner.environment,
            amount_micros=self.amount[hold_id],
            captured_micros=self.captured.get(hold_id, 0),
            refunded_micros=sum(amount for of, amount, _ in self.refunds.values() if of == hold_id),
            state=HoldState(self.state[hold_id]),
            created_at=self.made_at[hold_id],
        )

    @override
    async def confirm(self, hold_id: str, *, lasts_seconds: int) -> None:
        self._move(hold_id, "confirmed", lambda: None)
        self.lasts_seconds[hold_id] = lasts_seconds

    @override
    async def capture(self, hold_id: str, *, amount_micros: int) -> None:
        assert amount_micros <= self.amount.get(hold_id, amount_micros)
        self._move(hold_id, "captured", lambda: self.captured.setdefault(hold_id, amount_micros))

    @override
    async def release(self, hold_id: str) -> None:
        self._move(hold_id, "released", lambda: None)

    @override
    async def refund(self, refund_id: str, *, hold_id: str, amount_micros: int, reason: str) -> None:
        self._reachable()
        wanted = (hold_id, amount_micros, reason)
        if self.refunds.setdefault(refund_id, wanted) != wanted:
            raise ServiceError(Reason.REFUND_MISMATCH, "The refund was made for something else.")
        assert (
            sum(amount for of, amount, _ in self.refunds.values() if of == hold_id) <= self.captured[hold_id]
        )

    def _move(self, hold_id: str, to: str, then: Callable[[], object]) -> None:
        self._reachable()
        if hold_id not in self.state:
            raise ServiceError(Reason.HOLD_NOT_FOUND, "There is no such hold.")
        state = self.state[hold_id]
        if state in {"captured", "released", "expired"} and state != to:
            raise ServiceError(Reason[f"HOLD_{state.upper()}"], f"The hold is {state}.")
        self.state[hold_id] = to
        then()

    def _reachable(self) -> None:
        if self.outage is not None:
            raise self.outage
