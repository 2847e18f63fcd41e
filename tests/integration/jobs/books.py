"""Jobs and billing as the verifier reads them: both real, and jobs that go through every state."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from services.common.audit.note import AuditNote
from services.common.clock import utc_now
from services.common.ids import new_id
from services.common.postgres.database import Pool, open_pool
from services.common.rpc.client import open_channel
from services.common.verification.checks import Finding
from services.jobs.clients import HoldClient, LedgerClient
from services.jobs.domain.claims import Claim, LeaseLostError
from services.jobs.domain.failures import FailureCode
from services.jobs.domain.job import Job, Output
from services.jobs.domain.requests import JobInput, Owner
from services.jobs.domain.states import State, Status
from services.jobs.operations.mend_job import Mender
from services.jobs.operations.reconcile import Mended, reconcile
from services.jobs.operations.refunds import refund_job
from services.jobs.operations.verify_jobs import verify_jobs
from services.jobs.steps.begin_attempt import begin_attempt
from services.jobs.steps.complete import complete
from services.jobs.steps.return_credits import return_credits
from services.jobs.store.jobs import SqlJobs
from services.jobs.store.queue.work import SqlWork
from services.jobs.store.refunds import SqlRefunds, WantedRefund
from services.jobs.store.repairs import SqlRepairs
from services.jobs.store.verification import SqlRecords
from tests.fakes.upstream import ScriptedMedia
from tests.integration.billing.running import Billing, running_billing
from tests.integration.jobs.conftest import a_candidate
from tests.patience import PATIENCE_SECONDS

MICROS_PER_SECOND, SECONDS = 10, 5
NOTE = AuditNote(actor="tests", reason="goodwill")
RESERVED = MICROS_PER_SECOND * SECONDS
LONG_SECONDS = 10**6
WANTED = JobInput(
    prompt="waves",
    duration_seconds=SECONDS,
    resolution="720p",
    aspect_ratio="16:9",
    generate_audio=False,
    watermark=False,
    return_last_frame=False,
    seed=7,
)
OUTPUT = Output(
    video_url="https://media.example/v.mp4",
    thumbnail_url="https://media.example/v.jpg",
    last_frame_url=None,
    duration_seconds=SECONDS,
)


@dataclass(frozen=True)
class Plan:
    """What is to become of a job."""

    until: State | None = None
    """Where it stays. None: it ends."""
    is_to_fail: bool = False
    delivered_seconds: float = SECONDS


@dataclass(frozen=True)
class Books:
    """A jobs database, and a billing process with its own."""

    url: str
    pool: Pool
    billing: Billing
    ledger: LedgerClient
    holds: HoldClient

    @property
    def work(self) -> SqlWork:
        return SqlWork(self.pool)

    def a_job(self, account_id: str, job_id: str) -> Job:
        """Returns a new job."""
        return Job(
            id=job_id,
            owner=Owner(account_id=account_id, environment="live", contract="seedancee2"),
            status=Status.PENDING,
            model="mini",
            input=WANTED,
            callback_url=None,
            metadata_json=None,
            price_version="1",
            micros_per_second=MICROS_PER_SECOND,
            reserved_micros=RESERVED,
            created_at=utc_now().replace(microsecond=0),
        )

    async def accept(self, account_id: str, job_id: str) -> None:
        """Stores a job that is paid for."""
        await self.billing.hold(job_id, account_id, RESERVED)
        await SqlJobs(self.pool).create(self.a_job(account_id, job_id))

    async def _step(self, claim: Claim, plan: Plan) -> None:
        """Takes a claimed job one step on."""
        ending: dict[str, Any] = {
            "work": self.work,
            "ledger": self.ledger,
            "clock": utc_now,
            "render_event": lambda *_: None,
        }
        match claim.state:
            case State.STORED:
                await complete(claim, media=ScriptedMedia(), **ending)
            case State.FAILING:
                await return_credits(claim, **ending)
            case _ if plan.is_to_fail:
                await self.work.give_up(claim, failure=FailureCode.TIMEOUT, detail="")
            case State.PENDING:
                await begin_attempt(
                    claim,
                    work=self.work,
                    ledger=self.ledger,
                    candidates=lambda _job, _attempt_id: (a_candidate("simulator"),),
                    new_token=partial(new_id, "token"),
                )
            case State.SUBMITTING:
                await self.work.adopt_task(claim, task_id="task", seconds=0, event=None)
            case State.PROCESSING:
                await self.work.keep_output(
                    claim,
                    replace(OUTPUT, duration_seconds=plan.delivered_seconds),
                    started_at=utc_now(),
                    event=None,
                )

    async def let_go(self) -> None:
        """Ends every lease, as if whoever held one had died."""
        async with self.pool.connection() as connection:
            await connection.execute(
                """
                WITH held AS MATERIALIZED (
                    SELECT job_id FROM work WHERE lease_until > now() ORDER BY job_id FOR NO KEY UPDATE
                )
                UPDATE work SET lease_until = '-infinity', due_at = now() FROM held WHERE work.job_id = held.job_id
                """
            )

    async def walk(self, plans: Mapping[str, Plan]) -> None:
        """Takes each job as far as its plan says; nobody takes it up again."""
        while claims := await self.work.claim(limit=len(plans), lease_seconds=LONG_SECONDS):
            await asyncio.gather(*(self._go_on(claim, plans[claim.job.id]) for claim in claims))
            await self.let_go()

    async def _go_on(self, claim: Claim, plan: Plan) -> None:
        # Whoever walks beside this may have ended the lease.
        with suppress(LeaseLostError):
            if claim.state is plan.until:
                await self.work.postpone(claim, seconds=LONG_SECONDS)
            else:
                await self._step(claim, plan)

    async def give_back(self, job_id: str, micros: int) -> None:
        wanted = WantedRefund(
            refund_id=new_id("refund"),
            job_id=job_id,
            amount_micros=micros,
            note=NOTE,
        )
        await refund_job(wanted, refunds=SqlRefunds(self.pool), ledger=self.ledger)

    def mender(self) -> Mender:
        return Mender(
            records=SqlRecords(self.pool),
            holds=self.holds,
            ledger=self.ledger,
            repairs=SqlRepairs(self.pool),
            notify=lambda: None,
        )

    async def reconcile(self, *, is_trial: bool = False, rows_max: int = 3) -> list[Mended]:
        """Goes through all pages. Returns what did not agree."""
        mended: list[Mended] = []
        cursor = None
        while True:
            page = await reconcile(
                cursor,
                is_trial=is_trial,
                note=NOTE,
                mender=self.mender(),
                clock=utc_now,
                rows_max=rows_max,
            )
            mended += page.mended
            cursor = page.next_page_token
            if cursor is None:
                return mended

    async def sql(self, statement: str) -> list[dict[str, Any]]:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(statement.encode())
            return await cursor.fetchall() if cursor.description else []

    async def verify(self, *, rows_max: int = 1_000) -> tuple[list[Finding], int]:
        """Goes through all pages. Returns what was found and how many rows were checked."""
        findings: list[Finding] = []
        checked_count, cursor = 0, None
        while True:
            verified = await verify_jobs(
                cursor, records=SqlRecords(self.pool), holds=self.holds, rows_max=rows_max
            )
            findings += verified.findings
            checked_count += verified.checked_count
            cursor = verified.next_page_token
            if cursor is None:
                return findings, checked_count


@asynccontextmanager
async def open_books(jobs_url: str, billing_url: str) -> AsyncIterator[Books]:
    async with (
        running_billing(billing_url) as billing,
        open_channel(billing.running.internal_address, timeout_seconds=PATIENCE_SECONDS) as channel,
        open_pool(jobs_url, name="test", connections_max=8) as pool,
    ):
        yield Books(jobs_url, pool, billing, LedgerClient(channel), HoldClient(channel))
