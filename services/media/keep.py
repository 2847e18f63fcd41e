"""Copies results into the store: first staged, then published, or deleted."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

import aiohttp

from services.media.errors import MediaRejectedError
from services.media.fetch import HeadersFor, fetched, no_headers
from services.media.limits import MediaLimits
from services.media.names import MediaNames
from services.media.prober import Prober
from services.media.store import MediaStore

VIDEO_TYPE = "video/mp4"
PICTURE_TYPE = "image/jpeg"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A staged result: its future public addresses, and its real length."""

    video_url: str
    thumbnail_url: str
    last_frame_url: str | None
    duration_seconds: float


async def keep(
    source_url: str,
    *,
    names: MediaNames,
    staged: MediaNames,
    owner: str,
    want_last_frame: bool,
    fits: Callable[[int, int], bool] = lambda _width, _height: True,
    store: MediaStore,
    session: aiohttp.ClientSession,
    prober: Prober,
    limits: MediaLimits,
    headers_for: HeadersFor = no_headers,
    executor: Executor | None = None,
) -> Kept:
    """Copies a provider's result into the store if it is a video that fits. May be repeated at any time.

    It is stored under its `staged` names, which nobody can guess, until it is published under `names`, whose addresses are
    returned. Its file is looked at beside those of the same `owner` only. `fits` checks width and height, `headers_for` is as `fetched` takes it. Files are written in `executor`, or in
    the loop's own if None.
    Raises MediaUnavailableError, MediaGoneError or MediaRejectedError.
    """
    async with fetched(
        source_url, session=session, limits=limits, headers_for=headers_for, executor=executor
    ) as file:
        probed = await prober.probe(file, want_last_frame=want_last_frame, owner=owner)
        if not fits(probed.width, probed.height):
            raise MediaRejectedError(f"{probed.width}x{probed.height} is not the requested size")
        put = partial(store.put, timeout_seconds=limits.store_timeout_seconds)
        await put(staged.poster, probed.poster_jpeg, media_type=PICTURE_TYPE)
        if probed.last_frame_jpeg is not None:
            await put(staged.last_frame, probed.last_frame_jpeg, media_type=PICTURE_TYPE)
        await put(staged.video, file, media_type=VIDEO_TYPE)
        return Kept(
            video_url=store.url_of(names.video),
            thumbnail_url=store.url_of(names.poster),
            last_frame_url=None if probed.last_frame_jpeg is None else store.url_of(names.last_frame),
            duration_seconds=probed.duration_seconds,
        )


async def publish(
    *, staged: MediaNames, names: MediaNames, has_last_frame: bool, store: MediaStore, limits: MediaLimits
) -> None:
    """Makes a staged result public. May be repeated at any time.

    The video is moved last: if it exists, all files exist. Raises MediaUnavailableError or MediaGoneError.
    """
    move = partial(store.publish, timeout_seconds=limits.store_timeout_seconds)
    await move(staged.poster, names.poster)
    if has_last_frame:
        await move(staged.last_frame, names.last_frame)
    await move(staged.video, names.video)


async def discard(*names: MediaNames, store: MediaStore, limits: MediaLimits) -> None:
    """Deletes the files with any of these names. May be repeated at any time. Raises MediaUnavailableError."""
    for each in names:
        for name in (each.video, each.last_frame, each.poster):
            await store.delete(name, timeout_seconds=limits.store_timeout_seconds)
