"""Jobs whose providers answer by a script, in virtual time: what is to happen later is made due, and timers are moved on."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from services.common.clock import utc_now
from services.common.postgres.database import Pool
from services.jobs.convert.events import render_event
from services.jobs.domain.claims import Candidate
from services.jobs.domain.job import Job
from services.jobs.domain.routes import Credential
from services.jobs.domain.states import State
from services.jobs.duties.walk_jobs import Walker
from services.jobs.steps.begin_attempt import begin_attempt
from services.jobs.steps.check import check
from services.jobs.steps.complete import complete
from services.jobs.steps.discard_result import discard_result
from services.jobs.steps.recover import recover
from services.jobs.steps.return_credits import return_credits
from services.jobs.steps.submit import submit
from services.jobs.store.queue.parked import SqlParked
from services.jobs.store.queue.work import SqlWork
from services.upstream.provider import (
    BrokenCause,
    BrokenError,
    BusyError,
    Done,
    Hint,
    Order,
    Pending,
    RefusalKind,
    Refused,
    RefusedError,
    UnknownError,
    UnreachableError,
    UnsearchableError,
)
from tests.fakes.upstream import MemoryLedger, ScriptedMedia
from tests.integration.jobs.conftest import a_candidate, store_jobs

TELLING: dict[str, Any] = {"clock": utc_now, "render_event": render_event}
ROUND_SECONDS = 120
ROUNDS_MAX = 90

ORDERS: dict[str, Exception | None] = {
    "taken": None,
    "busy": BusyError("Chatty: queue full"),
    "busy for a while": BusyError("Chatty: queue full", retry_after_seconds=30),
    "unreachable": UnreachableError("Chatty: no connection"),
    "overloaded": RefusedError(Refused(kind=RefusalKind.UNAVAILABLE, detail="Chatty: no capacity")),
    "refused": RefusedError(Refused(kind=RefusalKind.CONTENT, detail="Chatty: indecent")),
    "no model": BrokenError("Chatty: no such model", cause=BrokenCause.MODEL),
    "lost, started": UnknownError("Chatty: timeout"),
    "lost, not started": UnknownError("Chatty: timeout"),
}
"""What may come of an order."""
TASKS: dict[str, Pending | Refused | Exception] = {
    "queued": Pending(running=False),
    "running": Pending(running=True),
    "silent": UnreachableError("Chatty: no connection"),
    "unavailable": Refused(kind=RefusalKind.UNAVAILABLE, detail="Chatty: internal error"),
    "indecent": Refused(kind=RefusalKind.CONTENT, detail="Chatty: indecent"),
    "failed": Refused(kind=RefusalKind.FAILED, detail="Chatty: failed"),
}
"""What may be said of a task, until the script is at its end: then it is done."""


@dataclass
class World:
    """What really happens at providers."""

    live: set[str] = field(default_factory=set)
    """Tasks that run."""
    started: dict[str, str] = field(default_factory=dict)
    """Tasks, and for which attempts."""
    orders: list[str] = field(default_factory=list)
    """What came of each order."""
    refused: bool = False


@dataclass
class ChattyProvider:
    """Fulfils Provider by a script of orders and one of tasks. Each task begins its script of answers anew."""

    name: str
    world: World
    orders: list[str] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)
    searchable: bool = True

    async def submit(
        self, order: Order, *, correlation_id: str, callback_url: str | None, timeout_seconds: float
    ) -> str:
        wanted = self.orders.pop(0) if self.orders else "taken"
        assert not self.world.refused, "what was refused for its content is ordered again"
        assert not self.world.live, "a second task is ordered while one may run"
        assert correlation_id not in self.world.started.values(), "an attempt is ordered twice"
        self.world.orders.append(wanted)
        task_id = f"{self.name}-task-{len(self.world.started) + 1}"
        if wanted in {"taken", "lost, started"}:
            self.world.started[task_id] = correlation_id
            self.world.live.add(task_id)
        self.world.refused = wanted == "refused"
        if (error := ORDERS[wanted]) is not None:
            raise error
        return task_id

    async def find(
        self, correlation_id: str, *, model: str, created_after: float, timeout_seconds: float
    ) -> str | None:
        if not self.searchable:
            raise UnsearchableError("Chatty lists no tasks")
        found = [task for task, attempt in self.world.started.items() if attempt == correlation_id]
        return found[0] if found else None

    async def carries(self, task_id: str, correlation_id: str, *, timeout_seconds: float) -> bool:
        return self.world.started.get(task_id) == correlation_id

    async def check(self, task_id: str, *, timeout_seconds: float) -> Pending | Done | Refused:
        said = self.tasks.pop(0) if self.tasks else "done"
        if said == "done":
            self.world.live.discard(task_id)
            return Done(video_url=f"https://{self.name}.example/{task_id}.mp4")
        answer = TASKS[said]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Refused):
            self.world.live.discard(task_id)
            self.world.refused = answer.kind is RefusalKind.CONTENT
        return answer

    async def cancel(self, task_id: str, *, timeout_seconds: float) -> bool:
        return False

    async def read_callback(self, headers: Mapping[str, str], body: bytes, *, model: str) -> Hint | None:
        return None

    def media_headers(self, url: str) -> Mapping[str, str]:
        return {}


@dataclass
class TwoRoutes:
    """A jobs database whose jobs have two routes, the first one preferred."""

    pool: Pool
    providers: Sequence[ChattyProvider]
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    media: ScriptedMedia = field(default_factory=ScriptedMedia)
    meanwhile: Callable[[], Awaitable[None]] | None = None
    """What happens between two claims."""

    def __post_init__(self) -> None:
        self.work = SqlWork(self.pool)
        self.candidates: tuple[Candidate, ...] = tuple(
            a_candidate(each.name, keys=("primekey",), jobs_at_once=1) for each in self.providers
        )

    async def sql(self, statement: str) -> list[dict[str, Any]]:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(statement.encode())
            return await cursor.fetchall() if cursor.description else []

    async def store(self, job: Job) -> None:
        await store_jobs(self.pool, job)
        await self.ledger.hold(job.id, owner=job.owner, key_id="key_1", amount_micros=job.reserved_micros)

    def walker(self) -> Walker:
        """Returns a worker."""
        asking: dict[str, Any] = {
            "work": self.work,
            "providers": {"live": {each.name: each for each in self.providers}},
            **TELLING,
        }
        paying: dict[str, Any] = {"work": self.work, "ledger": self.ledger}
        steps: dict[State, Any] = {
            State.PENDING: partial(
                begin_attempt,
                candidates=lambda _job, _attempt_id: self.candidates,
                new_token=lambda: f"token-{utc_now().timestamp()}",
                **paying,
            ),
            State.SUBMITTING: partial(recover, **asking),
            State.PROCESSING: partial(check, media=self.media, may_fetch=lambda _claim: True, **asking),
            State.STORED: partial(complete, media=self.media, **paying, **TELLING),
            State.FAILING: partial(
                discard_result, media=self.media, return_credits=partial(return_credits, **paying, **TELLING)
            ),
        }
        return Walker(
            work=self.work, steps=steps, submit=partial(submit, callback_url=lambda _: None, **asking)
        )

    async def play(self) -> None:
        """Walks all jobs to their ends, ROUND_SECONDS of virtual time between two claims."""
        walker = self.walker()
        for _ in range(ROUNDS_MAX):
            await walker.claim_once()
            await walker.drain()
            if not await self.sql("SELECT job_id FROM work"):
                return
            if self.meanwhile is not None:
                await self.meanwhile()
            await self.pass_time(ROUND_SECONDS)
            credentials = [limits_of(each) for each in self.candidates]
            await SqlParked(self.pool).call_up(
                credentials, credential_by_route={each.route: each.credential for each in self.candidates}
            )
        raise AssertionError(f"not at its end: {await self.sql('SELECT * FROM work')}")

    async def pass_time(self, seconds: int) -> None:
        """Moves every timer on."""
        span = f"interval '{seconds} s'"
        await self.sql(f"UPDATE work SET due_at = due_at - {span}, lease_until = '-infinity'")
        await self.sql(f"UPDATE attempts SET opened_at = opened_at - {span}, retry_at = retry_at - {span}")
        await self.sql(
            f"UPDATE route_states SET opened_until = opened_until - {span}, probe_until = probe_until - {span}"
        )
        await self.sql(f"UPDATE credential_states SET next_request_at = next_request_at - {span}")


def limits_of(candidate: Candidate) -> Credential:
    return Credential(
        name=candidate.credential,
        provider=candidate.provider,
        base_url="",
        keys=candidate.keys,
        jobs_at_once=candidate.jobs_at_once,
        requests_per_minute=candidate.requests_per_minute,
    )
