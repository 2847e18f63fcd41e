"""The media store: a folder or a bucket."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from services.media.errors import MediaGoneError, MediaUnavailableError

# Parts in flight at once, 5 MiB each: the memory that one upload may use.
UPLOAD_PARTS_MAX = 4
LIST_TIMEOUT_SECONDS = 30.0
SIGN_TIMEOUT_SECONDS = 10.0
"""Credentials may have to be fetched first."""
READ_BYTES = 1024 * 1024
_CLOUD_SCHEMES = frozenset({"s3", "gs", "az"})


class MediaStore:
    """Stores results in a folder, or in a bucket of S3, Google or Azure, and knows their public addresses."""

    def __init__(self, backend: ObjectStore, *, folder: Path | None, public_base_url: str) -> None:
        self._backend = backend
        self._folder = folder
        self._public_base_url = public_base_url.rstrip("/")

    @classmethod
    def open(cls, url: str, *, public_base_url: str) -> Self:
        """Returns the store at a folder's path, or at a file, s3, gs or az address. Creates the folder.

        Credentials come from the cloud's usual environment variables. Raises ValueError for other addresses.
        """
        scheme = urlsplit(url).scheme
        if scheme in _CLOUD_SCHEMES:
            # The worker repeats the whole step; a second layer of retries would only hide an outage.
            backend = from_url(url, retry_config={"max_retries": 0})
            return cls(backend, folder=None, public_base_url=public_base_url)
        if scheme not in {"", "file"}:
            raise ValueError(
                f"media store at {scheme}:// is not supported: use a folder, s3://, gs:// or az://"
            )
        folder = Path(unquote(urlsplit(url).path) if scheme else url).absolute()
        return cls(LocalStore(folder, mkdir=True), folder=folder, public_base_url=public_base_url)

    @property
    def is_bucket(self) -> bool:
        """Whether a cloud keeps the objects, and signs their addresses."""
        return self._folder is None

    def url_of(self, name: str) -> str:
        """Returns the public address of an object."""
        return f"{self._public_base_url}/{name}"

    async def sign(
        self, names: Sequence[str], lifetime_seconds: int, *, method: Literal["GET", "PUT"] = "GET"
    ) -> Sequence[str]:
        """Returns addresses at the bucket itself by which anyone can read, or put, these objects for a time.

        Raises MediaUnavailableError. A folder has none.
        """
        lifetime = timedelta(seconds=lifetime_seconds)
        async with _answering(SIGN_TIMEOUT_SECONDS):
            signed: Any = obstore.sign_async  # its types name every store that can sign
            return list(await signed(self._backend, method, list(names), lifetime))

    async def put(self, name: str, content: Path | bytes, *, media_type: str, timeout_seconds: float) -> None:
        """Stores a whole object or nothing, and replaces an earlier one of that name. Files are streamed.

        Raises MediaUnavailableError.
        """
        # A folder stores no content type: the file server derives it from the extension.
        attributes = None if self._folder else {"Content-Type": media_type}
        async with _answering(timeout_seconds):
            await obstore.put_async(
                self._backend, name, content, attributes=attributes, max_concurrency=UPLOAD_PARTS_MAX
            )

    async def publish(self, staged: str, name: str, *, timeout_seconds: float) -> None:
        """Moves an object to its public name. Harmless if it was moved before.

        Raises MediaGoneError when it is in neither place, and MediaUnavailableError.
        """
        async with _answering(timeout_seconds):
            try:
                await obstore.rename_async(self._backend, staged, name)
            except FileNotFoundError:
                if not await self._has(name):
                    raise MediaGoneError(f"{name} is neither in the store nor staged") from None
            if self._folder is not None:
                await asyncio.to_thread(_make_readable, self._folder, name)

    async def delete(self, name: str, *, timeout_seconds: float) -> None:
        """Deletes an object if there is one. Raises MediaUnavailableError."""
        async with _answering(timeout_seconds):
            with suppress(FileNotFoundError):
                await obstore.delete_async(self._backend, name)

    async def names_before(self, moment: datetime, *, folder: str, batch: int) -> AsyncIterator[list[str]]:
        """Returns the names of objects that were put into a folder before a moment. Raises MediaUnavailableError."""
        listing = aiter(obstore.list(self._backend, folder, chunk_size=batch))
        while True:
            async with _answering(LIST_TIMEOUT_SECONDS):
                found = await anext(listing, None)
            if found is None:
                return
            yield [str(item["path"]) for item in found if item["last_modified"] < moment]

    async def delete_fragments(self, moment: datetime, *, folder: str) -> int:
        """Deletes fragments in a folder of uploads that broke off before a moment. Returns the number of files.

        In a bucket it deletes nothing: set a lifecycle rule for unfinished uploads there. Raises MediaUnavailableError.
        """
        if self._folder is None:
            return 0
        async with _answering(LIST_TIMEOUT_SECONDS):
            return await asyncio.to_thread(_unlink_fragments, self._folder / folder, moment)

    async def exists(self, name: str, *, timeout_seconds: float) -> bool:
        """Returns whether an object of that name exists. Raises MediaUnavailableError."""
        async with _answering(timeout_seconds):
            return await self._has(name)

    async def size_of(self, name: str, *, timeout_seconds: float) -> int | None:
        """Returns how many bytes an object has, or None if there is none. Raises MediaUnavailableError."""
        async with _answering(timeout_seconds):
            try:
                return int((await obstore.head_async(self._backend, name))["size"])
            except FileNotFoundError:
                return None

    async def read(self, name: str, *, timeout_seconds: float) -> AsyncIterator[bytes]:
        """Returns an object block by block, each in time. Raises MediaUnavailableError."""
        async with _answering(timeout_seconds):
            blocks = aiter((await obstore.get_async(self._backend, name)).stream(min_chunk_size=READ_BYTES))
        while True:
            async with _answering(timeout_seconds):
                block = await anext(blocks, None)
            if block is None:
                return
            yield bytes(block)

    async def _has(self, name: str) -> bool:
        try:
            await obstore.head_async(self._backend, name)
        except FileNotFoundError:
            return False
        return True


@asynccontextmanager
async def _answering(timeout_seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(timeout_seconds):
            yield
    except (BaseError, OSError) as error:
        raise MediaUnavailableError(f"store failed: {type(error).__name__}") from error


def _make_readable(folder: Path, name: str) -> None:
    # The file server may run as another user, and the process may have a strict umask.
    path = folder / name
    for place in (path, *path.parents[: len(Path(name).parts)]):
        mode = place.stat().st_mode
        wanted = mode | (0o555 if place.is_dir() else 0o444)
        if wanted != mode:
            place.chmod(wanted)


def _unlink_fragments(folder: Path, moment: datetime) -> int:
    # Until it is complete, an upload is written next to its destination, under its name and a number.
    old = [path for path in folder.glob("*#*") if path.stat().st_mtime < moment.timestamp()]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)
