"""SUBMITTING, claimed by another lease than the one that opened the attempt: look for the task, never submit blindly."""

import logging

from services.common.clock import Clock
from services.jobs.domain.claims import Attempt, Blame, Claim, Fault
from services.jobs.domain.failures import FailureCode
from services.jobs.ports import Providers, RenderEvent
from services.jobs.provider_lookup import provider_of
from services.jobs.steps.adopt import adopt
from services.jobs.steps.drop import blame_key
from services.jobs.store.queue.work import SqlWork
from services.jobs.timing import (
    CALLBACK_WAIT_SECONDS,
    CHECK_TIMEOUT_SECONDS,
    FIND_TIMEOUT_SECONDS,
    LOOK_AGAIN_SECONDS,
    RENDER_DEADLINE_SECONDS,
    SETTLE_SECONDS,
    check_seconds,
    retry_seconds,
)
from services.upstream.provider import Provider, RefusalKind, Refused, UnsearchableError, UpstreamError

log = logging.getLogger(__name__)


async def recover(
    claim: Claim, *, work: SqlWork, providers: Providers, clock: Clock, render_event: RenderEvent
) -> Claim | None:
    """Adopts the task that the attempt may have started, if a callback named it or the provider lists it.

    The provider must confirm what an unsigned callback names, because a caller who knows the token may name any task. What
    it signed is the attempt's, for nobody else was given the address; the provider only has to know it. The job goes back
    to PENDING only if the provider is known to have no such task. If that cannot be found out before the task would be over,
    the job is given up. A provider that cannot be searched has CALLBACK_WAIT_SECONDS to name the task in a callback.
    """
    attempt = claim.attempt
    assert attempt is not None
    try:
        provider = provider_of(attempt, claim.job.owner.environment, providers)
        task_id = await _task_of(attempt, provider)
    except UnsearchableError as error:
        if claim.attempt_age_seconds > CALLBACK_WAIT_SECONDS:
            return await _forsaken(claim, error, work=work)
        await work.postpone(claim, seconds=check_seconds(claim.check_count), checked=True)
        return None
    except UpstreamError as error:
        log.warning("attempt=%s lookup failed detail=%s", attempt.id, error.detail)
        await blame_key(attempt, error, work=work)
        if claim.attempt_age_seconds > RENDER_DEADLINE_SECONDS:
            return await _forsaken(claim, error, work=work)
        await work.postpone(claim, seconds=retry_seconds(claim.check_count), checked=True)
        return None
    if task_id is not None:
        await adopt(claim, task_id, work=work, clock=clock, render_event=render_event)
    elif claim.attempt_age_seconds < SETTLE_SECONDS:
        await work.postpone(claim, seconds=LOOK_AGAIN_SECONDS)
    else:
        blame = Blame(fault=Fault.ORDER, failure_class="unknown")
        detail = "the provider has no such task"
        await work.drop_attempt(claim, outcome="lost", detail=detail, seconds=0, blame=blame)
    return None


async def _forsaken(claim: Claim, error: UpstreamError, *, work: SqlWork) -> Claim:
    """Gives up a job whose order may have started a task that nobody can name. It is never ordered again."""
    return await work.give_up(
        claim,
        failure=FailureCode.TIMEOUT,
        detail=error.detail,
        outcome="unknown",
        failure_class="unknown",
        may_run=True,
    )


async def _is_named(attempt: Attempt, provider: Provider) -> bool:
    claimed = attempt.claimed_task_id
    if claimed is None:
        return False
    if not attempt.is_claim_authentic:
        return await provider.carries(claimed, attempt.id, timeout_seconds=CHECK_TIMEOUT_SECONDS)
    # A provider signs for all its customers alike: a task that our credential does not show is somebody else's.
    found = await provider.check(claimed, timeout_seconds=CHECK_TIMEOUT_SECONDS)
    return not (isinstance(found, Refused) and found.kind is RefusalKind.EXPIRED)


async def _task_of(attempt: Attempt, provider: Provider) -> str | None:
    if await _is_named(attempt, provider):
        return attempt.claimed_task_id
    return await provider.find(
        attempt.id,
        model=attempt.upstream_model,
        created_after=attempt.opened_at.timestamp(),
        timeout_seconds=FIND_TIMEOUT_SECONDS,
    )
