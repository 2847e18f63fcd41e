"""Who did what in billing on the wire, for operators."""

from typing import Any

from grpc.aio import ServicerContext
from reelgate.admin.v1 import audit_service_pb2, audit_service_pb2_grpc
from typing_extensions import override

from services.billing.convert import LIST_LIMIT_DEFAULT, render_audit_entry
from services.billing.ports import AuditLog

Context = ServicerContext[Any, Any]
NUMBER_MAX = 2**63 - 1


class AuditServicer(audit_service_pb2_grpc.AuditServiceServicer):
    """Who did what in billing, for operators."""

    def __init__(self, *, audit_log: AuditLog) -> None:
        self._audit_log = audit_log

    @override
    async def ListAuditEntries(
        self, request: audit_service_pb2.ListAuditEntriesRequest, context: Context
    ) -> audit_service_pb2.ListAuditEntriesResponse:
        found = await self._audit_log.page(
            subject_id=request.subject_id or None,
            before_number=request.before_number or NUMBER_MAX,
            entries_max=request.limit or LIST_LIMIT_DEFAULT,
        )
        return audit_service_pb2.ListAuditEntriesResponse(entries=map(render_audit_entry, found))
