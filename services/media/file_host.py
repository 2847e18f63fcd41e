"""Serves a folder of media over HTTP, like a CDN in front of a bucket. aiohttp streams the bytes.

`selection` decides what a request gets, because aiohttp answers 416 to unknown units, takes `bytes=-0` for the whole file,
cuts the answers to HEAD and ignores entity tags in If-Range.
"""

import asyncio
import math
import os
import re
import stat
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from services.media.names import UPLOADS_PATH, is_result
from services.media.refusal import refusal
from services.media.selection import CONDITIONS, FileState, Part, Verdict, select
from services.media.signed_addresses import EXPIRES, AddressSigner, BadAddress, BadAddressError
from services.media.upload_host import UploadHost

CONTENT_TYPES: Final = {
    "bmp": "image/bmp",
    "gif": "image/gif",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "mp4": "video/mp4",
    "png": "image/png",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "webp": "image/webp",
}
"""By extension: results, and the images that a request may refer to. Nothing else is served."""
KEPT_FOR_EVER: Final = {"Cache-Control": "public, max-age=31536000, immutable"}
NOT_KEPT: Final = {"Cache-Control": "private, no-store"}
HEADERS: Final = {"X-Content-Type-Options": "nosniff", "Accept-Ranges": "bytes"}
BAD_ADDRESSES: Final = {
    BadAddress.NOT_OURS: "The address is not signed, or was changed. Use the whole address that the task shows.",
    BadAddress.EXPIRED: "The address has expired. Poll the task for a new one.",
}
REFUSALS: Final = {
    404: ("not_found", "There is no such file."),
    412: ("invalid_request", "The file is not the one that the request's conditions name."),
    416: ("invalid_request", "The range is not within the file."),
}
# Without dots a name can reach neither a parent folder nor a hidden or half-written file.
_NAME: Final = re.compile(r"/((?:[A-Za-z0-9_-]+/)*[A-Za-z0-9_-]+\.([a-z0-9]+))")


def file_host(
    folder: Path,
    uploads: UploadHost | None = None,
    *,
    signer: AddressSigner | None = None,
    clock: Callable[[], float] = time.time,
) -> web.Application:
    """Returns the application that answers GET and HEAD of `/NAME` with the file of that name below `folder`.

    With a signer it answers only for results at addresses that it signed, as long as they are valid.
    With `uploads` it also takes and serves files below `/uploads/`, at addresses that are signed.
    """

    async def serve(request: web.Request) -> web.StreamResponse:
        name = _NAME.fullmatch(request.path)
        if name is None or name[2] not in CONTENT_TYPES:
            return _refusal(404)
        kept = KEPT_FOR_EVER
        if signer is not None and is_result(name[1]):
            now = clock()
            try:
                signer.check("GET", name[1], request.query, now=now)
            except BadAddressError as error:
                return refusal(403, "invalid_request", BAD_ADDRESSES[error.why])
            seconds = int(request.query[EXPIRES]) - math.floor(now)
            kept = {"Cache-Control": f"private, max-age={seconds}"}
        return await _serve(request, folder / name[1], CONTENT_TYPES[name[2]], kept=kept)

    async def serve_upload(request: web.Request) -> web.StreamResponse:
        assert uploads is not None
        found = uploads.find(request)
        return found if isinstance(found, web.Response) else await _serve(request, *found, kept=NOT_KEPT)

    app = web.Application()
    if uploads is not None:
        place = f"/{UPLOADS_PATH}/{{name}}"
        app.add_routes([web.put(place, uploads.put), web.get(place, serve_upload)])
    app.add_routes([web.get("/{name:.*}", serve)])
    return app


async def _serve(
    request: web.Request, path: Path, content_type: str, *, kept: Mapping[str, str]
) -> web.StreamResponse:
    file = await asyncio.to_thread(_state, path)
    if file is None:
        return _refusal(404)
    fields = {field: ", ".join(request.headers.getall(field, ())) for field in CONDITIONS}
    given = {field: value for field, value in fields.items() if field in request.headers}
    match select(request.method, given, file):
        case Verdict.NOT_MODIFIED:
            return _not_modified(file, kept=kept)
        case Verdict.PRECONDITION_FAILED:
            return _refusal(412)
        case Verdict.NOT_SATISFIABLE:
            return _refusal(416, {"Content-Range": f"bytes */{file.size}"})
        case selected:
            part = selected if isinstance(selected, Part) else None
            return _FileResponse(path, part, headers={**HEADERS, **kept, "Content-Type": content_type})


class _FileResponse(web.FileResponse):
    """A file, or one part of it, whatever the request's own headers say."""

    def __init__(self, path: Path, part: Part | None, *, headers: Mapping[str, str]) -> None:
        super().__init__(path, headers=headers)
        self._fields = {} if part is None else {"Range": f"bytes={part.first}-{part.last}"}

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        return await super().prepare(request.clone(headers=self._fields))


def _state(path: Path) -> FileState | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    # Same format as aiohttp's, so that the tags it sends match those we compare later.
    etag = f'"{found.st_mtime_ns:x}-{found.st_size:x}"'
    return FileState(etag=etag, modified=math.ceil(found.st_mtime), size=found.st_size)


def _not_modified(file: FileState, *, kept: Mapping[str, str]) -> web.Response:
    answer = web.Response(status=304, headers={**kept, "ETag": file.etag})
    answer.last_modified = file.modified
    return answer


def _refusal(status: int, headers: dict[str, str] | None = None) -> web.Response:
    code, message = REFUSALS[status]
    return refusal(status, code, message, headers=headers)
