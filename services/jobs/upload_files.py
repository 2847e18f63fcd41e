"""The files of uploads: where customers send them, whether they have arrived, where providers read them."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from services.jobs.domain.uploads import PUT_TIME, READ_TIME
from services.media.inspect_reference import inspect_reference
from services.media.names import UPLOADS_FOLDER, UPLOADS_PATH, upload_id_of, upload_media_type
from services.media.prober import Prober
from services.media.reference_rules import ReferenceRefusedError
from services.media.signed_addresses import AddressSigner
from services.media.store import MediaStore

STORE_SECONDS_MAX = 30.0
LISTED_BATCH = 200
_INCOMING = f"{UPLOADS_FOLDER}/incoming"
"""Where a bucket takes files, which nobody has checked yet."""


class UploadFiles:
    """Files of uploads, in a bucket or behind the edge of a stack without one. Methods raise MediaUnavailableError."""

    def __init__(
        self,
        store: MediaStore,
        *,
        signer: AddressSigner | None,
        prober: Prober,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._signer = signer
        self._prober = prober
        self._clock = clock
        self._is_bucket = store.is_bucket

    @property
    def is_open(self) -> bool:
        """Whether files can be taken: a bucket signs for itself, the host of a stack without one needs a secret."""
        return self._is_bucket or self._signer is not None

    @property
    def base_url(self) -> str:
        """What the addresses that name uploads begin with."""
        return self._store.url_of(f"{UPLOADS_PATH}/")

    async def put_address(self, name: str, *, size_max: int) -> str:
        """Returns where the file can be sent for PUT_TIME."""
        if self._is_bucket:
            return await self._signed_by_bucket(f"{_INCOMING}/{name}", lasts=PUT_TIME, method="PUT")
        return self._signed("PUT", name, seconds=PUT_TIME.total_seconds(), size_max=size_max)

    async def readable(self, url: str) -> str:
        """Returns where a provider can read a reference for READ_TIME: its own address if it is no upload."""
        name = url.removeprefix(self.base_url)
        if name == url or upload_id_of(name) is None or not self.is_open:
            return url
        if self._is_bucket:
            return await self._signed_by_bucket(f"{UPLOADS_FOLDER}/{name}", lasts=READ_TIME, method="GET")
        return self._signed("GET", name, seconds=READ_TIME.total_seconds())

    async def _signed_by_bucket(self, name: str, *, lasts: timedelta, method: Literal["GET", "PUT"]) -> str:
        [address] = await self._store.sign([name], int(lasts.total_seconds()), method=method)
        return address

    async def size_of(self, name: str) -> int | None:
        """Returns how many bytes came, checked or not, or None if none did."""
        for folder in (UPLOADS_FOLDER, *([_INCOMING] if self._is_bucket else ())):
            size = await self._store.size_of(f"{folder}/{name}", timeout_seconds=STORE_SECONDS_MAX)
            if size is not None:
                return size
        return None

    async def arrival(self, name: str, *, size_max: int) -> int | None:
        """Returns how many bytes a file has that has arrived and was checked, or None if it has not arrived.

        The host of a stack without a bucket checks before a file appears; what lies in a bucket is checked now, and
        deleted with ReferenceRefusedError if it cannot be used.
        """
        kept = f"{UPLOADS_FOLDER}/{name}"
        size = await self._store.size_of(kept, timeout_seconds=STORE_SECONDS_MAX)
        if size is not None or not self._is_bucket:
            return size
        incoming = f"{_INCOMING}/{name}"
        size = await self._store.size_of(incoming, timeout_seconds=STORE_SECONDS_MAX)
        if size is None:
            return None
        try:
            await self._check(incoming, name, size=size, size_max=size_max)
        except ReferenceRefusedError:
            await self._store.delete(incoming, timeout_seconds=STORE_SECONDS_MAX)
            raise
        await self._store.publish(incoming, kept, timeout_seconds=STORE_SECONDS_MAX)
        return size

    async def delete(self, name: str) -> None:
        """Deletes a file wherever it lies. Repeating it is harmless."""
        for folder in (UPLOADS_FOLDER, _INCOMING):
            await self._store.delete(f"{folder}/{name}", timeout_seconds=STORE_SECONDS_MAX)

    async def ids_before(self, moment: datetime) -> AsyncIterator[dict[str, str]]:
        """Returns, in batches, the names of files that came before a moment, by the ids of their uploads."""
        async for names in self._store.names_before(moment, folder=UPLOADS_FOLDER, batch=LISTED_BATCH):
            found = {name: upload_id_of(name.rpartition("/")[2]) for name in names}
            yield {upload_id: name.rpartition("/")[2] for name, upload_id in found.items() if upload_id}

    async def delete_fragments(self, moment: datetime) -> int:
        """Deletes what broke off before a moment. Returns the number of files."""
        return await self._store.delete_fragments(moment, folder=UPLOADS_FOLDER)

    async def _check(self, incoming: str, name: str, *, size: int, size_max: int) -> None:
        if size > size_max:
            raise ReferenceRefusedError(f"must have at most {size_max} bytes; it has {size}")
        media_type = upload_media_type(name)
        assert media_type is not None, "only our own names are on record"
        with tempfile.NamedTemporaryFile() as file:
            path = Path(file.name)
            async for block in self._store.read(incoming, timeout_seconds=STORE_SECONDS_MAX):
                await asyncio.to_thread(file.write, block)
            await asyncio.to_thread(file.flush)
            await inspect_reference(path, media_type, prober=self._prober)

    def _signed(self, method: str, name: str, *, seconds: float, size_max: int | None = None) -> str:
        assert self._signer is not None, "asked for only where files are taken"
        expires_at = int(self._clock() + seconds)
        named = f"{UPLOADS_PATH}/{name}"
        return self._store.url_of(self._signer.sign(method, named, expires_at=expires_at, size_max=size_max))
