"""Takes files that customers upload to a stack without a bucket, and serves them to who was given a signed address."""

import asyncio
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from aiohttp import web

from services.media.errors import MediaUnavailableError
from services.media.inspect_reference import inspect_reference
from services.media.limits import MIB
from services.media.names import UPLOADS_FOLDER, UPLOADS_PATH, upload_media_type
from services.media.prober import Prober
from services.media.reference_rules import ReferenceRefusedError
from services.media.refusal import refusal
from services.media.signed_addresses import AddressSigner, BadAddress, BadAddressError

BAD_ADDRESSES: Final = {
    BadAddress.NOT_OURS: "The signature does not fit this address and method. Use the address exactly as it was given.",
    BadAddress.EXPIRED: "The address has expired. Create another upload with POST /v1/uploads.",
}


@dataclass(frozen=True, kw_only=True)
class UploadHost:
    """Uploads in a media folder. A file appears under its name once it is whole, checked and on the disk."""

    folder: Path
    """The media folder."""
    signer: AddressSigner
    prober: Prober
    """Runs `reference_probe`."""
    clock: Callable[[], float] = time.time

    def find(self, request: web.Request) -> tuple[Path, str] | web.Response:
        """Returns the file that a signed GET or HEAD asks for, and its media type; or the refusal."""
        name = request.match_info["name"]
        media_type = upload_media_type(name)
        if media_type is None:
            return refusal(404, "not_found", "There is no such file.")
        try:
            self._allowed("GET", name, request)
        except BadAddressError as error:
            return refusal(403, "invalid_request", BAD_ADDRESSES[error.why])
        return self._place(name), media_type

    async def put(self, request: web.Request) -> web.Response:
        """Answers a signed PUT: 201 once the file is there for good."""
        name = request.match_info["name"]
        media_type = upload_media_type(name)
        if media_type is None:
            return refusal(404, "not_found", "There is no such upload.")
        try:
            size_max = self._allowed("PUT", name, request)
        except BadAddressError as error:
            return refusal(403, "invalid_request", BAD_ADDRESSES[error.why])
        if (unfit := _unfit(request, size_max=size_max)) is not None:
            return unfit
        if await asyncio.to_thread(os.path.lexists, self._place(name)):
            return _arrived_before()
        return await self._take(request, name, media_type)

    def _allowed(self, method: str, name: str, request: web.Request) -> int:
        query = request.query
        size_max = self.signer.check(method, f"{UPLOADS_PATH}/{name}", query, now=self.clock())
        if size_max is None and method == "PUT":
            raise BadAddressError(BadAddress.NOT_OURS)
        return size_max or 0

    async def _take(self, request: web.Request, name: str, media_type: str) -> web.Response:
        place = self._place(name)
        with _draft(place) as file:
            await _copy(request, file)
            try:
                await inspect_reference(Path(file.name), media_type, prober=self.prober)
            except ReferenceRefusedError as error:
                return refusal(400, "invalid_request", f"The file {error.rule}.")
            except MediaUnavailableError:
                return refusal(
                    503, "internal_error", "The file could not be checked now. Please send it again."
                )
            try:
                await asyncio.to_thread(_keep, file, place)
            except FileExistsError:
                return _arrived_before()
        return web.Response(status=201)

    def _place(self, name: str) -> Path:
        return self.folder / UPLOADS_FOLDER / name


def _unfit(request: web.Request, *, size_max: int) -> web.Response | None:
    if request.content_length is None:
        return refusal(411, "invalid_request", "Send the file with its Content-Length, not in chunks.")
    if request.headers.get("Content-Encoding", "identity") != "identity":
        return refusal(415, "invalid_request", "Send the file as it is, without Content-Encoding.")
    if request.content_length > size_max:
        message = f"The file must have at most {size_max} bytes; it has {request.content_length}."
        return refusal(413, "request_too_large", message)
    return None


def _arrived_before() -> web.Response:
    message = "The file has arrived before, and stays as it is. For another file create another upload."
    return refusal(409, "conflict", message)


@contextmanager
def _draft(place: Path) -> Iterator[IO[bytes]]:
    """Opens a file beside a place, under a name that the sweep of fragments knows, and deletes that name at the end."""
    place.parent.mkdir(exist_ok=True)
    draft = place.with_name(f"{place.name}#{secrets.token_hex(8)}")
    with draft.open("xb") as file:
        try:
            yield file
        finally:
            draft.unlink(missing_ok=True)


async def _copy(request: web.Request, file: IO[bytes]) -> None:
    block = bytearray()
    async for piece in request.content.iter_any():
        block += piece
        if len(block) >= MIB:
            await asyncio.to_thread(file.write, bytes(block))
            block.clear()
    await asyncio.to_thread(file.write, bytes(block))
    await asyncio.to_thread(file.flush)


def _keep(file: IO[bytes], place: Path) -> None:
    """Puts a finished file in its place, on the disk, unless there is one. Raises FileExistsError."""
    os.fsync(file.fileno())
    os.link(file.name, place)
    folder = os.open(place.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
