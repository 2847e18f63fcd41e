"""Addresses of media as customers get them: as they are stored or, where an operator wants that, signed for a time."""

from collections.abc import Awaitable, Callable, Sequence

from services.jobs.domain.job import Job

Links = Callable[[Sequence[Job]], Awaitable[Sequence[Job]]]
"""Returns jobs with the addresses that their customers get now."""


async def as_stored(jobs: Sequence[Job]) -> Sequence[Job]:
    """Returns jobs with addresses that are valid forever."""
    return jobs


async def shown(job: Job, links: Links) -> Job:
    """Returns one job with the addresses that its customer gets now."""
    [linked] = await links([job])
    return linked
