"""Signed addresses of media. It brings what speaks to stores, which an API needs for nothing else."""

import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from services.common.clock import Clock
from services.common.errors import Reason, outage
from services.jobs.domain.job import Job
from services.jobs.media_links import Links
from services.media.errors import MediaUnavailableError
from services.media.names import media_names
from services.media.signed_addresses import AddressSigner

Sign = Callable[[Sequence[str]], Awaitable[Sequence[str]]]
"""Returns a signed address of each object."""

KEPT_MAX = 20_000
EARLY = 1.25
"""So much longer than promised a store's signatures are valid, and so long each is given out again."""


def signed(sign: Sign) -> Links:
    """Returns what gives every file of a job a signed address."""

    async def links(jobs: Sequence[Job]) -> Sequence[Job]:
        found = dict.fromkeys(name for job in jobs for name in _names(job).values())
        urls = dict(zip(found, await sign(list(found)), strict=True)) if found else {}
        return [_with_urls(job, urls) for job in jobs]

    return links


def by_secret(secret: str, *, base_url: str, seconds: int, clock: Clock) -> Sign:
    """Returns what signs for the host of a folder: addresses that are valid for `seconds`."""
    signer = AddressSigner(secret=secret)

    async def sign(names: Sequence[str]) -> Sequence[str]:
        expires = math.ceil(clock().timestamp()) + seconds
        return [f"{base_url.rstrip('/')}/{signer.sign('GET', name, expires_at=expires)}" for name in names]

    return sign


def kept(
    sign: Callable[[Sequence[str], int], Awaitable[Sequence[str]]], *, seconds: int, clock: Clock
) -> Sign:
    """Returns what asks a store to sign, and gives its answer out as long as that is valid for `seconds` at least.

    Some stores have to be called for it, which no poll should wait for each time. Refuses with UNAVAILABLE.
    """
    known: OrderedDict[str, tuple[str, float]] = OrderedDict()
    lifetime = math.ceil(seconds * EARLY)

    async def signed_by_store(names: Sequence[str]) -> Sequence[str]:
        now = clock().timestamp()
        missing = [name for name in names if known.get(name, ("", 0.0))[1] < now]
        if missing:
            until = now + lifetime - seconds
            try:
                urls = await sign(missing, lifetime)
            except MediaUnavailableError as error:
                raise outage(Reason.UNAVAILABLE, detail=error.detail) from error
            for name, url in zip(missing, urls, strict=True):
                known[name] = (url, until)
                known.move_to_end(name)
        found = [known[name][0] for name in names]
        while len(known) > KEPT_MAX:
            known.popitem(last=False)
        return found

    return signed_by_store


def _names(job: Job) -> dict[str, str]:
    """Returns the objects of a job by the fields of its output."""
    if job.output is None:
        return {}
    names = media_names(job.id, created_on=job.created_at.date())
    found = {"video_url": names.video, "thumbnail_url": names.poster}
    return found if job.output.last_frame_url is None else {**found, "last_frame_url": names.last_frame}


def _with_urls(job: Job, urls: Mapping[str, str]) -> Job:
    if job.output is None:
        return job
    fields: dict[str, Any] = {field: urls[name] for field, name in _names(job).items()}
    return replace(job, output=replace(job.output, **fields))
