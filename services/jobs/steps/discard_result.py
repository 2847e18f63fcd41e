"""FAILING: a stored result is deleted before its job fails, also when an operator gives the job up after the charge."""

from collections.abc import Awaitable, Callable

from services.jobs.domain.claims import Claim
from services.jobs.ports import Media


async def discard_result(
    claim: Claim, *, media: Media, return_credits: Callable[[Claim], Awaitable[None]]
) -> None:
    """Deletes the result, if there is one, and goes on to return the credits."""
    if claim.job.output is not None and claim.attempt is not None:
        await media.discard(claim.job, secret=claim.attempt.token)
    await return_credits(claim)
