"""Results, which nobody can read until their job completes."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime

import aiohttp
from typing_extensions import override

from services.common.telemetry.tracing import span
from services.jobs.domain.job import Job, Output
from services.jobs.ports import HeadersFor, Media, ResultRejectedError, ResultUnavailableError
from services.media.errors import MediaGoneError, MediaRejectedError, MediaUnavailableError
from services.media.keep import discard, keep, publish
from services.media.limits import MediaLimits
from services.media.names import (
    STAGED_FOLDER,
    MediaNames,
    job_of_staged,
    media_names,
    public_name,
    staged_names,
)
from services.media.prober import Prober
from services.media.store import MediaStore

PIXELS_BY_RESOLUTION = {"480p": 864 * 496, "720p": 1280 * 720, "1080p": 1920 * 1080}
PIXEL_TOLERANCE = 0.15


def is_right_size(resolution: str, *, width: int, height: int) -> bool:
    """Returns whether a picture has the pixels of its resolution, whatever its ratio.

    Providers keep the pixel count within a few percent over all ratios (ModelArk's table of output sizes).
    """
    wanted = PIXELS_BY_RESOLUTION[resolution]
    return abs(width * height - wanted) <= PIXEL_TOLERANCE * wanted


@dataclass(frozen=True, kw_only=True)
class StagedObject:
    """A file of a result that is not public yet."""

    name: str
    job_id: str


DELETES_AT_ONCE_MAX = 64
STAGED_BATCH = 200


class MediaKeeper(Media):
    """Fetches results, checks them and puts them into the store. `Lanes` bounds how many it fetches at once."""

    def __init__(
        self,
        *,
        store: MediaStore,
        session: aiohttp.ClientSession,
        prober: Prober,
        limits: MediaLimits,
        executor: Executor | None = None,
    ) -> None:
        self._store = store
        self._session = session
        self._prober = prober
        self._limits = limits
        self._executor = executor
        self._deletes = asyncio.Semaphore(DELETES_AT_ONCE_MAX)

    @override
    async def keep(self, job: Job, *, source_url: str, headers_for: HeadersFor, secret: str) -> Output:
        with span("keep media", job=job.id), _errors_mapped():
            kept = await keep(
                source_url,
                names=_names(job),
                staged=staged_names(job.id, secret=secret),
                owner=f"{job.owner.environment}/{job.owner.account_id}",
                want_last_frame=job.input.return_last_frame,
                fits=lambda width, height: is_right_size(job.input.resolution, width=width, height=height),
                store=self._store,
                session=self._session,
                prober=self._prober,
                limits=self._limits,
                headers_for=headers_for,
                executor=self._executor,
            )
        return Output(
            video_url=kept.video_url,
            thumbnail_url=kept.thumbnail_url,
            last_frame_url=kept.last_frame_url,
            duration_seconds=kept.duration_seconds,
        )

    @override
    async def publish(self, job: Job, *, secret: str) -> None:
        assert job.output is not None
        with span("publish media", job=job.id), _errors_mapped():
            await publish(
                staged=staged_names(job.id, secret=secret),
                names=_names(job),
                has_last_frame=job.output.last_frame_url is not None,
                store=self._store,
                limits=self._limits,
            )

    @override
    async def discard(self, job: Job, *, secret: str) -> None:
        with _errors_mapped():
            staged = staged_names(job.id, secret=secret)
            await discard(staged, _names(job), store=self._store, limits=self._limits)

    async def delete(self, job_id: str, created_on: date) -> None:
        """Deletes the public media of a job. Repeating it is harmless. Raises ResultUnavailableError."""
        names = media_names(job_id, created_on=created_on)
        with _errors_mapped():
            async with self._deletes:
                await discard(names, store=self._store, limits=self._limits)

    async def staged_before(self, moment: datetime) -> AsyncIterator[Sequence[StagedObject]]:
        """Returns, in batches, the objects that were staged before a moment. Raises ResultUnavailableError."""
        batches = self._store.names_before(moment, folder=STAGED_FOLDER, batch=STAGED_BATCH)
        while True:
            with _errors_mapped():
                names = await anext(batches, None)
            if names is None:
                return
            yield [
                StagedObject(name=name, job_id=job_id)
                for name in names
                if (job_id := job_of_staged(name)) is not None
            ]

    async def delete_fragments(self, moment: datetime) -> int:
        """Deletes fragments of uploads that broke off before a moment. Raises ResultUnavailableError."""
        with _errors_mapped():
            return await self._store.delete_fragments(moment, folder=STAGED_FOLDER)

    async def publish_one(self, staged: StagedObject, job: Job) -> None:
        """Makes one staged object of a job public, or deletes it if the job already has a public one.

        Raises ResultUnavailableError.
        """
        name = public_name(staged.name, names=_names(job))
        timeout_seconds = self._limits.store_timeout_seconds
        with _errors_mapped():
            if await self._store.exists(name, timeout_seconds=timeout_seconds):
                await self._store.delete(staged.name, timeout_seconds=timeout_seconds)
            else:
                await self._store.publish(staged.name, name, timeout_seconds=timeout_seconds)

    async def discard_one(self, staged: StagedObject) -> None:
        """Deletes one staged object. Raises ResultUnavailableError."""
        with _errors_mapped():
            await self._store.delete(staged.name, timeout_seconds=self._limits.store_timeout_seconds)


def _names(job: Job) -> MediaNames:
    return media_names(job.id, created_on=job.created_at.date())


@contextmanager
def _errors_mapped() -> Iterator[None]:
    try:
        yield
    except MediaRejectedError as error:
        raise ResultRejectedError(error.detail) from error
    except (MediaUnavailableError, MediaGoneError) as error:
        raise ResultUnavailableError(error.detail) from error
