"""A jobs database with one job, whose steps a test takes one by one."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from services.common.clock import utc_now
from services.common.postgres.database import Pool
from services.jobs.convert.events import render_event
from services.jobs.domain.claims import Claim
from services.jobs.domain.job import Job
from services.jobs.domain.states import State
from services.jobs.duties.walk_jobs import Walker
from services.jobs.media_links import Links, as_stored
from services.jobs.ports import MayFetch
from services.jobs.steps.begin_attempt import begin_attempt
from services.jobs.steps.check import check
from services.jobs.steps.complete import complete
from services.jobs.steps.discard_result import discard_result
from services.jobs.steps.recover import recover
from services.jobs.steps.return_credits import return_credits
from services.jobs.steps.submit import submit
from services.jobs.store.queue.work import SqlWork
from services.jobs.store.rows import job_from_row
from services.upstream.provider import Done, Hint
from tests.fakes.upstream import MemoryLedger, ScriptedMedia, ScriptedProvider
from tests.integration.jobs.conftest import a_candidate, store_jobs

TELLING: dict[str, Any] = {"clock": utc_now, "render_event": render_event}
DONE = Done(video_url="https://provider.example/secret.mp4")


@dataclass
class World:
    """A jobs database with one held job, and everything around it scripted."""

    pool: Pool
    work: SqlWork
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    provider: ScriptedProvider = field(default_factory=lambda: ScriptedProvider(answers=[DONE]))
    media: ScriptedMedia = field(default_factory=ScriptedMedia)
    name_token: Callable[[Claim], str] = lambda claim: f"token-{claim.lease_no}"
    may_fetch: MayFetch = lambda _claim: True
    callback_url: Callable[[str], str | None] = lambda _token: None
    upstream_model: str = "m"
    links: Links = as_stored

    async def claim(self) -> Claim:
        """Takes the job over as another worker would: whatever lease there was is over, and the job is due."""
        await self.sql("UPDATE work SET lease_until = '-infinity', due_at = now()")
        [claim] = await self.work.claim(limit=1, lease_seconds=60)
        return claim

    async def sql(self, statement: str) -> list[dict[str, Any]]:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(statement.encode())
            return await cursor.fetchall() if cursor.description else []

    async def job(self) -> Job:
        return job_from_row((await self.sql("SELECT * FROM jobs"))[0])

    async def state(self) -> str | None:
        found = await self.sql("SELECT state FROM work")
        return found[0]["state"] if found else None

    async def begin_if_there_is_room(self, claim: Claim) -> Claim | None:
        return await begin_attempt(
            claim,
            work=self.work,
            ledger=self.ledger,
            candidates=lambda _job, _attempt_id: (a_candidate(upstream_model=self.upstream_model),),
            new_token=lambda: self.name_token(claim),
        )

    async def begin(self, claim: Claim) -> Claim:
        begun = await self.begin_if_there_is_room(claim)
        assert begun is not None
        return begun

    async def submit(self, claim: Claim) -> Claim | None:
        return await submit(
            claim,
            work=self.work,
            providers={"live": {"ark": self.provider}},
            callback_url=self.callback_url,
            **TELLING,
        )

    async def recover(self, claim: Claim) -> Claim | None:
        return await recover(claim, work=self.work, providers={"live": {"ark": self.provider}}, **TELLING)

    async def check(self, claim: Claim) -> Claim | None:
        return await check(
            claim,
            work=self.work,
            providers={"live": {"ark": self.provider}},
            media=self.media,
            may_fetch=self.may_fetch,
            **TELLING,
        )

    async def complete(self, claim: Claim) -> Claim | None:
        return await complete(
            claim, work=self.work, ledger=self.ledger, media=self.media, links=self.links, **TELLING
        )

    async def refund(self, claim: Claim) -> None:
        await discard_result(
            claim,
            media=self.media,
            return_credits=partial(return_credits, work=self.work, ledger=self.ledger, **TELLING),
        )

    async def submitted(self) -> None:
        await self.submit(await self.begin(await self.claim()))

    def walker(self) -> Walker:
        steps = {
            State.PENDING: self.begin_if_there_is_room,
            State.SUBMITTING: self.recover,
            State.PROCESSING: self.check,
            State.STORED: self.complete,
            State.FAILING: self.refund,
        }
        return Walker(work=self.work, steps=steps, submit=self.submit)


def said(task_id: str, *, is_authentic: bool = False) -> Hint:
    """Returns what a callback says that names a task."""
    return Hint(task_id=task_id, is_authentic=is_authentic)


async def open_world(pool: Pool, job: Job) -> World:
    """Stores a job whose credits are held."""
    made = World(pool=pool, work=SqlWork(pool))
    await store_jobs(pool, job)
    await made.ledger.hold(job.id, owner=job.owner, key_id="key_1", amount_micros=job.reserved_micros)
    return made
