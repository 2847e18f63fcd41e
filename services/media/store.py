import asyncio
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from services.media.errors import MediaUnavailableError

# Parts in flight at once, 5 MiB each: what one upload may hold in memory.
UPLOAD_PARTS_MAX = 4
_CLOUD_SCHEMES = frozenset({"s3", "gs", "az"})


class MediaStore:
    """Where results lie: a folder, or a bucket of S3, Google or Azure; and the address they are read at."""

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
            # The worker repeats the whole step; a second layer of attempts would only hide an outage.
            backend = from_url(url, retry_config={"max_retries": 0})
            return cls(backend, folder=None, public_base_url=public_base_url)
        if scheme not in {"", "file"}:
            raise ValueError(
                f"media store at {scheme}:// is not supported: use a folder, s3://, gs:// or az://"
            )
        folder = Path(unquote(urlsplit(url).path) if scheme else url).absolute()
        return cls(LocalStore(folder, mkdir=True), folder=folder, public_base_url=public_base_url)

    def url_of(self, name: str) -> str:
        """Returns the public address of an object."""
        return f"{self._public_base_url}/{name}"

    async def put(self, name: str, content: Path | bytes, *, media_type: str, timeout_seconds: float) -> None:
        """Stores an object whole or not at all, over any earlier one of that name. Files are streamed.

        Raises MediaUnavailableError.
        """
        # A folder keeps no content type: whoever serves it goes by the name's ending.
        attributes = None if self._folder else {"Content-Type": media_type}
        try:
            async with asyncio.timeout(timeout_seconds):
                await obstore.put_async(
                    self._backend, name, content, attributes=attributes, max_concurrency=UPLOAD_PARTS_MAX
                )
                if self._folder is not None:
                    await asyncio.to_thread(_make_readable, self._folder, name)
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
