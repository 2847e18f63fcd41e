"""The proof that the books agree, on the wire, for operators."""

from typing import Any

from grpc.aio import ServicerContext
from reelgate.admin.v1 import verifier_service_pb2, verifier_service_pb2_grpc
from typing_extensions import override

from services.jobs.operations.verify_jobs import verify_jobs
from services.jobs.ports import Holds, Records

Context = ServicerContext[Any, Any]


class VerifierServicer(verifier_service_pb2_grpc.VerifierServiceServicer):
    """The proof that jobs, usage and the ledger agree, for operators."""

    def __init__(self, *, records: Records, holds: Holds) -> None:
        self._records = records
        self._holds = holds

    @override
    async def Verify(
        self, request: verifier_service_pb2.VerifyRequest, context: Context
    ) -> verifier_service_pb2.VerifyResponse:
        verified = await verify_jobs(request.page_token or None, records=self._records, holds=self._holds)
        return verifier_service_pb2.VerifyResponse(
            findings=[verifier_service_pb2.Finding(**vars(found)) for found in verified.findings],
            checked_count=verified.checked_count,
            next_page_token=verified.next_page_token or "",
        )
