"""Whether ledger and jobs agree. Every function raises ServiceError."""

from collections.abc import AsyncIterator, Mapping

from reelgate.admin.v1 import hold_admin_service_pb2, job_admin_service_pb2, verifier_service_pb2
from reelgate.admin.v1.audit_pb2 import AuditNote
from reelgate.admin.v1.hold_admin_service_pb2_grpc import HoldAdminServiceStub
from reelgate.admin.v1.job_admin_service_pb2_grpc import JobAdminServiceStub
from reelgate.admin.v1.verifier_service_pb2_grpc import VerifierServiceStub

from services.cli.admin.channel import call, open_admin_channel
from services.cli.admin.target import AdminTarget

PART_TIMEOUT_SECONDS = 60.0
"""For one part, which reads many rows."""


async def verify(
    targets: Mapping[str, AdminTarget],
) -> AsyncIterator[tuple[str, verifier_service_pb2.VerifyResponse]]:
    """Yields each service's name with what was found in each part of its books, until all parts are checked."""
    for service, target in targets.items():
        request, more = verifier_service_pb2.VerifyRequest(), True
        async with open_admin_channel(target) as channel:
            while more:
                part = await VerifierServiceStub(channel).Verify(
                    request, timeout=PART_TIMEOUT_SECONDS, wait_for_ready=True
                )
                yield service, part
                request.page_token, more = part.next_page_token, bool(part.next_page_token)


async def reconcile(
    *, is_trial: bool, note: AuditNote, jobs: AdminTarget
) -> AsyncIterator[job_admin_service_pb2.ReconcileHoldsResponse]:
    """Yields part after part until all jobs and holds agree, or with `is_trial` only says what would be done."""
    request, more = job_admin_service_pb2.ReconcileHoldsRequest(is_trial=is_trial, audit=note), True
    async with open_admin_channel(jobs) as channel:
        while more:
            part = await JobAdminServiceStub(channel).ReconcileHolds(
                request, timeout=PART_TIMEOUT_SECONDS, wait_for_ready=True
            )
            yield part
            request.page_token, more = part.next_page_token, bool(part.next_page_token)


async def release_hold(hold_id: str, *, note: AuditNote, billing: AdminTarget) -> int:
    """Releases what a hold keeps. Returns how many micro-credits that were."""
    request = hold_admin_service_pb2.ReleaseHoldRequest(hold_id=hold_id, audit=note)
    released = await call(billing, lambda channel: HoldAdminServiceStub(channel).ReleaseHold, request)
    return released.given_back_micros
