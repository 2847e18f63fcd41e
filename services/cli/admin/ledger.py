"""Whether the books agree."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from reelgate.admin.v1 import (
    hold_admin_service_pb2,
    hold_admin_service_pb2_grpc,
    job_admin_service_pb2,
    job_admin_service_pb2_grpc,
    verifier_service_pb2,
    verifier_service_pb2_grpc,
)

from services.cli.admin.channel import open_admin_channel
from services.cli.admin.records import Finding, MendedJob, Note
from services.cli.admin.target import AdminTarget
from services.cli.admin.wire import to_note_message, to_record

PART_TIMEOUT_SECONDS = 60.0
"""For checking one part, which reads many rows."""


@dataclass(frozen=True, kw_only=True)
class CheckedPart:
    """A part of the books that was checked, and what does not agree in it."""

    findings: Sequence[Finding]
    checked_count: int


async def verify(targets: Mapping[str, AdminTarget]) -> AsyncIterator[CheckedPart]:
    """Yields part after part until all books of the services at `targets` are checked. Raises ServiceError."""
    for service, target in targets.items():
        async with open_admin_channel(target) as channel:
            verifier = verifier_service_pb2_grpc.VerifierServiceStub(channel)
            cursor, more = None, True
            while more:
                part = await verifier.Verify(
                    verifier_service_pb2.VerifyRequest(cursor=cursor),
                    timeout=PART_TIMEOUT_SECONDS,
                    wait_for_ready=True,
                )
                findings = [to_record(Finding, finding, service=service) for finding in part.findings]
                yield CheckedPart(findings=findings, checked_count=part.checked_count)
                cursor, more = part.next_cursor, part.HasField("next_cursor")


@dataclass(frozen=True, kw_only=True)
class ReconciledPart:
    """Jobs and holds that were looked at, and those that did not agree."""

    jobs: Sequence[MendedJob]
    checked_count: int


async def reconcile(*, is_trial: bool, note: Note, jobs: AdminTarget) -> AsyncIterator[ReconciledPart]:
    """Yields part after part until all jobs and holds were made to agree. Raises ServiceError."""
    async with open_admin_channel(jobs) as channel:
        admin = job_admin_service_pb2_grpc.JobAdminServiceStub(channel)
        cursor, more = None, True
        while more:
            part = await admin.ReconcileHolds(
                job_admin_service_pb2.ReconcileHoldsRequest(
                    cursor=cursor, is_trial=is_trial, audit=to_note_message(note)
                ),
                timeout=PART_TIMEOUT_SECONDS,
                wait_for_ready=True,
            )
            mended = [to_record(MendedJob, job) for job in part.jobs]
            yield ReconciledPart(jobs=mended, checked_count=part.checked_count)
            cursor, more = part.next_cursor, part.HasField("next_cursor")


async def release_hold(hold_id: str, *, note: Note, billing: AdminTarget) -> int:
    """Gives back what a hold keeps. Returns how many micro-credits that were. Raises ServiceError."""
    async with open_admin_channel(billing) as channel:
        released = await hold_admin_service_pb2_grpc.HoldAdminServiceStub(channel).ReleaseHold(
            hold_admin_service_pb2.ReleaseHoldRequest(hold_id=hold_id, audit=to_note_message(note)),
            wait_for_ready=True,
        )
    return int(released.given_back_micros)
