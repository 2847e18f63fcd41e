"""The internal port of the jobs service in this process, and an operator in front of it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from reelgate.admin.v1 import audit_service_pb2, job_admin_service_pb2
from reelgate.admin.v1.audit_pb2 import AuditNote
from reelgate.admin.v1.audit_service_pb2_grpc import AuditServiceStub
from reelgate.admin.v1.job_admin_service_pb2_grpc import (
    JobAdminServiceStub,
)
from reelgate.admin.v1.outbox_admin_service_pb2_grpc import (
    OutboxAdminServiceStub,
)
from reelgate.admin.v1.route_admin_service_pb2_grpc import RouteAdminServiceStub

from services.common.clock import utc_now
from services.common.postgres.database import Pool
from services.common.rpc.client import open_channel
from services.common.rpc.server import serve
from services.jobs.convert.events import render_event
from services.jobs.domain.catalogue import Catalogue
from services.jobs.domain.claims import Claim
from services.jobs.domain.failures import FailureCode
from services.jobs.domain.job import Job, Output
from services.jobs.domain.states import Status
from services.jobs.operations.mend_job import Mender
from services.jobs.steps.return_credits import return_credits
from services.jobs.store.queue.work import SqlWork
from services.jobs.store.repairs import SqlRepairs
from services.jobs.store.rows import job_from_row
from services.jobs.store.verification import SqlRecords
from services.jobs.wiring.internal import admin_port
from tests.fakes.upstream import MemoryLedger
from tests.integration.jobs.conftest import a_candidate, a_job, jobs_settings, store_jobs
from tests.patience import PATIENCE_SECONDS
from tests.unit.jobs.samples import CATALOGUE

NOTE = AuditNote(actor="ops@example", reason="stuck since noon")
ROUTE = a_candidate()
OUTPUT = Output(video_url="v", thumbnail_url="t", last_frame_url=None, duration_seconds=5.0)
JOB_ID = a_job().id
RESERVED = a_job().reserved_micros


@dataclass
class Desk:
    """An operator's view of a jobs database: its internal port, and what lies beneath."""

    pool: Pool
    work: SqlWork
    ledger: MemoryLedger
    jobs: Any = None
    audit: Any = None
    outbox: Any = None
    notified: list[bool] = field(default_factory=list)
    routes: Any = None
    catalogue: Callable[[], Catalogue] = lambda: CATALOGUE

    async def fail(self, job_id: str = JOB_ID) -> None:
        request = job_admin_service_pb2.FailJobRequest(job_id=job_id, audit=NOTE)
        await self.jobs.FailJob(request, timeout=PATIENCE_SECONDS)

    async def recheck(self, job_id: str = JOB_ID) -> None:
        request = job_admin_service_pb2.RecheckJobRequest(job_id=job_id, audit=NOTE)
        await self.jobs.RecheckJob(request, timeout=PATIENCE_SECONDS)

    async def refund(self, refund_id: str, amount_micros: int | None = None, *, job_id: str = JOB_ID) -> int:
        request = job_admin_service_pb2.RefundJobRequest(
            refund_id=refund_id, job_id=job_id, amount_micros=amount_micros, audit=NOTE
        )
        answer = await self.jobs.RefundJob(request, timeout=PATIENCE_SECONDS)
        return int(answer.amount_micros)

    async def unfinished(self, **asked: Any) -> list[Any]:
        request = job_admin_service_pb2.ListUnfinishedJobsRequest(**asked)
        return list((await self.jobs.ListUnfinishedJobs(request, timeout=PATIENCE_SECONDS)).jobs)

    async def entries(self, **asked: Any) -> list[Any]:
        request = audit_service_pb2.ListAuditEntriesRequest(**asked)
        return list((await self.audit.ListAuditEntries(request, timeout=PATIENCE_SECONDS)).entries)

    async def actions(self) -> list[str]:
        return [entry.action for entry in await self.entries()]

    async def sql(self, statement: str) -> list[dict[str, Any]]:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(statement.encode())
            return await cursor.fetchall() if cursor.description else []

    async def job(self) -> Job:
        return job_from_row((await self.sql(f"SELECT * FROM jobs WHERE id = '{JOB_ID}'"))[0])

    async def at(self, place: str, number: int = 1) -> Claim:
        """Brings a job, not known yet, to a state or an end, and returns the last claim that moved it."""
        job = a_job(number)
        await store_jobs(self.pool, job)
        await self.ledger.hold(job.id, owner=job.owner, key_id="key_1", amount_micros=job.reserved_micros)
        [claim] = await self.work.claim(limit=1, lease_seconds=600)
        if place == "pending":
            return claim
        claim = await self.work.open_attempt(claim, candidates=(ROUTE,), token=f"token-{number}")
        if place == "submitting":
            return claim
        await self.work.adopt_task(claim, task_id=f"cgt-{number}", seconds=0, event=None)
        [claim] = await self.work.claim(limit=1, lease_seconds=600)
        if place == "processing":
            return claim
        if place in {"failing", "failed"}:
            claim = await self.work.give_up(claim, failure=FailureCode.TIMEOUT, detail="late")
            if place == "failed":
                await self.end(claim)
            return claim
        claim = await self.work.keep_output(claim, OUTPUT, started_at=utc_now(), event=None)
        if place == "completed":
            await self.ledger.capture(job.id, amount_micros=RESERVED)
            ended = replace(
                claim.job, status=Status.COMPLETED, charged_micros=RESERVED, ended_at=job.created_at
            )
            await self.work.finish(claim, ended, event=None)
        return claim

    def mender(self) -> Mender:
        """Returns what puts jobs and holds right here."""
        return Mender(
            records=SqlRecords(self.pool),
            holds=self.ledger,
            ledger=self.ledger,
            repairs=SqlRepairs(self.pool),
            notify=lambda: self.notified.append(True),
        )

    async def end(self, claim: Claim) -> None:
        """Takes the last step of a job that fails."""
        await return_credits(
            claim,
            work=self.work,
            ledger=self.ledger,
            clock=utc_now,
            render_event=render_event,
        )


@asynccontextmanager
async def open_desk(pool: Pool) -> AsyncIterator[Desk]:
    """Serves the internal port on a free one."""
    made = Desk(pool=pool, work=SqlWork(pool), ledger=MemoryLedger())
    port = admin_port(
        jobs_settings(),
        pool,
        ledger=made.ledger,
        holds=made.ledger,
        catalogue=made.catalogue,
        notify=lambda: made.notified.append(True),
        worths=lambda: {"seedancee2": 10_000, "nextapi": 1_000_000},
        tls=None,
    )
    async with serve(port) as [address], open_channel(address, timeout_seconds=60) as channel:
        made.jobs, made.audit = JobAdminServiceStub(channel), AuditServiceStub(channel)
        made.routes = RouteAdminServiceStub(channel)
        made.outbox = OutboxAdminServiceStub(channel)
        yield made
