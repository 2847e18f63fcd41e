from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

import aiohttp

from services.media.fetch import fetched
from services.media.limits import MediaLimits
from services.media.names import MediaNames
from services.media.prober import Prober
from services.media.store import MediaStore

VIDEO_TYPE = "video/mp4"
PICTURE_TYPE = "image/jpeg"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A result that lies in our store, at addresses of our own, and what it turned out to be."""

    video_url: str
    thumbnail_url: str
    last_frame_url: str | None
    duration_seconds: float
    width: int
    height: int
    byte_count: int
    sha256: str
    media_type: str


async def keep(
    source_url: str,
    *,
    names: MediaNames,
    want_last_frame: bool,
    store: MediaStore,
    session: aiohttp.ClientSession,
    prober: Prober,
    limits: MediaLimits,
    executor: Executor | None = None,
) -> Kept:
    """Copies a provider's result into the store once it has proved to be a video. May be repeated at any time.

    The video is stored last: where it exists, everything exists. `executor` (the loop's own if None) is where
    files are written. Raises MediaUnavailableError, MediaGoneError or MediaRejectedError.
    """
    async with fetched(source_url, session=session, limits=limits, executor=executor) as file:
        probed = await prober.probe(file.path, want_last_frame=want_last_frame)
        put = partial(store.put, timeout_seconds=limits.store_timeout_seconds)
        await put(names.poster, probed.poster_jpeg, media_type=PICTURE_TYPE)
        if probed.last_frame_jpeg is not None:
            await put(names.last_frame, probed.last_frame_jpeg, media_type=PICTURE_TYPE)
        await put(names.video, file.path, media_type=VIDEO_TYPE)
        return Kept(
            video_url=store.url_of(names.video),
            thumbnail_url=store.url_of(names.poster),
            last_frame_url=None if probed.last_frame_jpeg is None else store.url_of(names.last_frame),
            duration_seconds=probed.duration_seconds,
            width=probed.width,
            height=probed.height,
            byte_count=file.byte_count,
            sha256=file.sha256,
            media_type=VIDEO_TYPE,
        )
