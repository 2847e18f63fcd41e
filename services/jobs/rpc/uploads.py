"""Uploads on the wire, for their owners."""

from typing import Any

from grpc.aio import ServicerContext
from reelgate.uploads.v1 import upload_pb2
from reelgate.uploads.v1 import upload_service_pb2 as pb
from reelgate.uploads.v1.upload_service_pb2_grpc import UploadServiceServicer
from typing_extensions import override

from services.common.idempotency.reservation import reserved_id
from services.jobs.convert.uploads import parse_new_upload, render_upload
from services.jobs.domain.uploads import Upload
from services.jobs.operations.uploads import ID_PREFIX, UploadOperations
from services.jobs.rpc.calls import owner

Context = ServicerContext[Any, Any]


class UploadServicer(UploadServiceServicer):
    """Uploads, for their owners."""

    def __init__(self, uploads: UploadOperations) -> None:
        self._uploads = uploads

    @override
    async def CreateUpload(
        self, request: pb.CreateUploadRequest, context: Context
    ) -> pb.CreateUploadResponse:
        wanted = parse_new_upload(request)
        upload, address = await self._uploads.create(wanted, owner=owner(), reserved=reserved_id(ID_PREFIX))
        return pb.CreateUploadResponse(data=self._render(upload, None, put_url=address))

    @override
    async def GetUpload(self, request: pb.GetUploadRequest, context: Context) -> pb.GetUploadResponse:
        upload, size = await self._uploads.get(request.id, owner=owner())
        return pb.GetUploadResponse(data=self._render(upload, size))

    @override
    async def DeleteUpload(
        self, request: pb.DeleteUploadRequest, context: Context
    ) -> pb.DeleteUploadResponse:
        await self._uploads.delete(request.id, owner=owner())
        return pb.DeleteUploadResponse(data=upload_pb2.DeletedUpload(id=request.id, deleted=True))

    def _render(self, upload: Upload, size: int | None, *, put_url: str | None = None) -> upload_pb2.Upload:
        url = f"{self._uploads.files.base_url}{upload.name}"
        return render_upload(upload, url=url, size=size, now=self._uploads.clock(), put_url=put_url)
