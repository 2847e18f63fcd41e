"""What operators did, whichever service it was done in."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from heapq import merge
from itertools import islice

from reelgate.admin.v1 import audit_service_pb2, audit_service_pb2_grpc

from services.cli.admin.channel import open_admin_channel
from services.cli.admin.records import AuditEntry
from services.cli.admin.target import AdminTarget
from services.cli.admin.wire import to_record


async def list_audit_entries(
    *, subject_id: str | None, entries_max: int, targets: Mapping[str, AdminTarget]
) -> Sequence[AuditEntry]:
    """Returns the newest changes of all services, newest first; `targets` are their addresses. Raises ServiceError."""
    lists = await asyncio.gather(
        *(
            _of_service(service, target, subject_id=subject_id, entries_max=entries_max)
            for service, target in targets.items()
        )
    )
    # Moments of one format sort as text.
    return list(islice(merge(*lists, key=lambda entry: entry.occurred_at, reverse=True), entries_max))


async def _of_service(
    service: str, target: AdminTarget, *, subject_id: str | None, entries_max: int
) -> list[AuditEntry]:
    async with open_admin_channel(target) as channel:
        listed = await audit_service_pb2_grpc.AuditServiceStub(channel).ListAuditEntries(
            audit_service_pb2.ListAuditEntriesRequest(subject_id=subject_id, limit=entries_max),
            wait_for_ready=True,
        )
    return [
        to_record(AuditEntry, entry, service=service, details=json.loads(entry.details_json))
        for entry in listed.entries
    ]
