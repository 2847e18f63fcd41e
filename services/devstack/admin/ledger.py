"""Whether the books agree."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from reelgate.admin.v1 import verifier_service_pb2, verifier_service_pb2_grpc

from services.devstack.admin.channel import open_admin_channel
from services.devstack.admin.records import Finding
from services.devstack.admin.target import AdminTarget
from services.devstack.admin.wire import to_record

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
