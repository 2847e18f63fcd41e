"""What operators did to jobs, on the wire."""

import json
from typing import Any

from grpc.aio import ServicerContext
from reelgate.admin.v1 import audit_pb2, audit_service_pb2, audit_service_pb2_grpc
from typing_extensions import override

from services.common.clock import rfc3339
from services.jobs.books import (
    AuditEntry,
)
from services.jobs.ports import Audit

Context = ServicerContext[Any, Any]

ENTRIES_LIMIT_DEFAULT = 100


class AuditServicer(audit_service_pb2_grpc.AuditServiceServicer):
    """What operators did to jobs."""

    def __init__(self, *, audit: Audit) -> None:
        self._audit = audit

    @override
    async def ListAuditEntries(
        self, request: audit_service_pb2.ListAuditEntriesRequest, context: Context
    ) -> audit_service_pb2.ListAuditEntriesResponse:
        found = await self._audit.newest(
            subject_id=request.subject_id or None,
            before_number=request.before_number or None,
            limit=request.limit or ENTRIES_LIMIT_DEFAULT,
        )
        return audit_service_pb2.ListAuditEntriesResponse(entries=map(_render, found))


def _render(entry: AuditEntry) -> audit_pb2.AuditEntry:
    return audit_pb2.AuditEntry(
        number=entry.number,
        occurred_at=rfc3339(entry.occurred_at),
        actor=entry.actor,
        action=entry.action,
        subject_id=entry.subject_id,
        reason=entry.reason,
        details_json=json.dumps(entry.details, ensure_ascii=False, separators=(",", ":")),
    )
