"""For how long things of single accounts are kept, on the wire, for operators."""

from typing import Any

from grpc.aio import ServicerContext
from reelgate.admin.v1 import retention_service_pb2 as pb
from reelgate.admin.v1.retention_service_pb2_grpc import RetentionServiceServicer
from typing_extensions import override

from services.common.audit.servicer import parse_note
from services.jobs.domain.retention import OwnDays
from services.jobs.store.kept_days import SqlKeptDays

Context = ServicerContext[Any, Any]


class RetentionServicer(RetentionServiceServicer):
    """For how long things of single accounts are kept."""

    def __init__(self, kept: SqlKeptDays) -> None:
        self._kept = kept

    @override
    async def GetAccountDays(
        self, request: pb.GetAccountDaysRequest, context: Context
    ) -> pb.GetAccountDaysResponse:
        found = await self._kept.of([request.account_id])
        days = found.get(request.account_id, OwnDays())
        return pb.GetAccountDaysResponse(days=pb.AccountDays(**vars(days)))

    @override
    async def SetAccountDays(
        self, request: pb.SetAccountDaysRequest, context: Context
    ) -> pb.SetAccountDaysResponse:
        wanted = request.days
        days = OwnDays(
            media_days=wanted.media_days if wanted.HasField("media_days") else None,
            content_days=wanted.content_days if wanted.HasField("content_days") else None,
        )
        await self._kept.choose(request.account_id, days, note=parse_note(request.audit))
        return pb.SetAccountDaysResponse(days=wanted)
