"""FAILING: a result that was stored is deleted before its job fails, even if an operator fails it after the charge."""

from collections.abc import Awaitable, Callable

from services.jobs.domain.claims import Claim
from services.jobs.ports import Media


async def discard_result(claim: Claim, *, media: Media, refund: Callable[[Claim], Awaitable[None]]) -> None:
    """Deletes the result, if there is one, and goes on to give the credits back."""
    if claim.job.output is not None and claim.attempt is not None:
        await media.discard(claim.job, secret=claim.attempt.token)
    await refund(claim)
