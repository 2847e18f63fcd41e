"""The audit entries of a service on the wire, for operators."""

from typing import Any

from grpc.aio import ServicerContext
from reelgate.admin.v1 import audit_pb2, audit_service_pb2, audit_service_pb2_grpc
from typing_extensions import override

from services.common.audit.note import AuditEntry, AuditNote
from services.common.audit.store import SqlAuditLog
from services.common.clock import rfc3339
from services.common.paging import cut, number_in, page_size
from services.common.tls.peers import acting

AUDIT_SERVICE = "reelgate.admin.v1.AuditService"

Context = ServicerContext[Any, Any]


class AuditServicer(audit_service_pb2_grpc.AuditServiceServicer):
    """What operators changed in one service."""

    def __init__(self, log: SqlAuditLog) -> None:
        self._log = log

    @override
    async def ListAuditEntries(
        self, request: audit_service_pb2.ListAuditEntriesRequest, context: Context
    ) -> audit_service_pb2.ListAuditEntriesResponse:
        size = page_size(request.page_size)
        found = await self._log.page(
            subject_id=request.subject_id or None,
            before_number=number_in(request.page_token),
            entries_max=size + 1,
        )
        page, token = cut(found, size, lambda entry: str(entry.number))
        return audit_service_pb2.ListAuditEntriesResponse(entries=map(_render, page), next_page_token=token)


def parse_note(note: audit_pb2.AuditNote) -> AuditNote:
    """Returns who changes something, and why. The actor names the caller's certificate as well, if it has one."""
    return AuditNote(actor=acting(note.actor), reason=note.reason)


def _render(entry: AuditEntry) -> audit_pb2.AuditEntry:
    return audit_pb2.AuditEntry(**{**vars(entry), "occurred_at": rfc3339(entry.occurred_at)})
