"""SUBMITTING, found by another lease than the one that opened the attempt: look first, never submit blindly."""

from services.jobs.domain import Claim
from services.jobs.ports import Providers, Work
from services.jobs.steps.timing import (
    FIND_TIMEOUT_SECONDS,
    FIRST_CHECK_SECONDS,
    LOOK_AGAIN_SECONDS,
    SETTLE_SECONDS,
)
from services.upstream.contract import UpstreamError


async def recover(claim: Claim, *, work: Work, providers: Providers) -> None:
    """Adopts the task that the attempt may have started, as a callback named it or the provider lists it.

    Only when the provider surely has no such task does the job go back to PENDING.
    """
    attempt = claim.attempt
    assert attempt is not None
    task_id = attempt.claimed_task_id
    if task_id is None:
        try:
            task_id = await providers[attempt.route].find(
                attempt.id,
                model=attempt.upstream_model,
                created_after=attempt.opened_at.timestamp(),
                timeout_seconds=FIND_TIMEOUT_SECONDS,
            )
        except UpstreamError:
            await work.postpone(claim, seconds=LOOK_AGAIN_SECONDS)
            return
    if task_id is not None:
        await work.adopt_task(claim, task_id=task_id, seconds=FIRST_CHECK_SECONDS)
    elif claim.attempt_age_seconds < SETTLE_SECONDS:
        await work.postpone(claim, seconds=LOOK_AGAIN_SECONDS)
    else:
        await work.drop_attempt(claim, outcome="lost", detail="the provider has no such task", seconds=0)
