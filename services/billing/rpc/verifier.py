"""The check of the ledger on the wire, for operators."""

from typing import Any

from grpc.aio import ServicerContext
from reelgate.admin.v1 import verifier_service_pb2, verifier_service_pb2_grpc
from typing_extensions import override

from services.billing.convert import render_verified
from services.billing.operations.verify_ledger import verify_ledger
from services.billing.store.verification import SqlLedgerPages

Context = ServicerContext[Any, Any]


class VerifierServicer(verifier_service_pb2_grpc.VerifierServiceServicer):
    """The check that the ledger agrees with itself, for operators."""

    def __init__(self, *, pages: SqlLedgerPages) -> None:
        self._pages = pages

    @override
    async def Verify(
        self, request: verifier_service_pb2.VerifyRequest, context: Context
    ) -> verifier_service_pb2.VerifyResponse:
        return render_verified(await verify_ledger(request.page_token or None, pages=self._pages))
