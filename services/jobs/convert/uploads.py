"""Uploads as customers ask for them and see them."""

from datetime import datetime

from reelgate.uploads.v1 import upload_pb2, upload_service_pb2

from services.common.clock import rfc3339
from services.common.errors import invalid_field
from services.jobs.domain.uploads import Upload
from services.jobs.operations.uploads import NewUpload
from services.media.reference_rules import FOREIGN_FORMATS, MEDIA_TYPES, RULES


def parse_new_upload(request: upload_service_pb2.CreateUploadRequest) -> NewUpload:
    """Returns what will be sent. Refuses with INVALID_FIELD."""
    media_type = request.content_type.strip().lower()
    if media_type in FOREIGN_FORMATS:
        name, advice = FOREIGN_FORMATS[media_type]
        raise invalid_field("content_type", f"names a format that no request takes: {name}. {advice}")
    if media_type not in MEDIA_TYPES:
        raise invalid_field("content_type", f"must be one of {', '.join(MEDIA_TYPES)}", request.content_type)
    if not request.HasField("size_bytes"):
        return NewUpload(media_type=media_type, byte_count=None)
    kind = MEDIA_TYPES[media_type]
    most = RULES[kind].byte_count_max
    if request.size_bytes > most:
        raise invalid_field("size_bytes", f"must be at most {most} for {kind} files", request.size_bytes)
    return NewUpload(media_type=media_type, byte_count=request.size_bytes)


def render_upload(
    upload: Upload, *, url: str, size: int | None, now: datetime, put_url: str | None = None
) -> upload_pb2.Upload:
    """Returns an upload as its owner sees it; with `put_url` also where the file goes."""
    waiting = "waiting" if now < upload.put_until else "expired"
    shown = upload_pb2.Upload(
        id=upload.id,
        status=waiting if size is None else "arrived",
        url=url,
        content_type=upload.media_type,
        size_bytes=size,
        created_at=rfc3339(upload.created_at),
        expires_at=rfc3339(upload.kept_until),
    )
    if put_url is not None:
        shown.put.url = put_url
        shown.put.headers["Content-Type"] = upload.media_type
        shown.put.size_bytes_max = upload.byte_count
        shown.put.expires_at = rfc3339(upload.put_until)
    return shown
