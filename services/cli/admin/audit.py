"""What operators did, whichever service it was done in."""

import asyncio
from collections.abc import Mapping, Sequence
from heapq import merge
from itertools import islice

from reelgate.admin.v1.audit_pb2 import AuditEntry
from reelgate.admin.v1.audit_service_pb2 import ListAuditEntriesRequest
from reelgate.admin.v1.audit_service_pb2_grpc import AuditServiceStub

from services.cli.admin.channel import call
from services.cli.admin.target import AdminTarget


async def list_audit_entries(
    *, subject_id: str | None, entries_max: int, targets: Mapping[str, AdminTarget]
) -> Sequence[tuple[str, AuditEntry]]:
    """Returns the newest changes, each with its service, newest first. `targets` are by service. Raises ServiceError."""
    request = ListAuditEntriesRequest(subject_id=subject_id, page_size=entries_max)

    async def of_service(service: str, target: AdminTarget) -> list[tuple[str, AuditEntry]]:
        listed = await call(target, lambda channel: AuditServiceStub(channel).ListAuditEntries, request)
        return [(service, entry) for entry in listed.entries]

    lists = await asyncio.gather(*(of_service(service, target) for service, target in targets.items()))
    # All moments have the same format, so they sort as text.
    return list(islice(merge(*lists, key=lambda found: found[1].occurred_at, reverse=True), entries_max))
