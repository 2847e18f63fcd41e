"""PROCESSING: ask the provider about the task."""

import logging
from dataclasses import replace

from services.common.clock import Clock
from services.jobs.domain.claims import Blame, Claim, Fault
from services.jobs.domain.failures import FailureCode
from services.jobs.failures import CUSTOMERS_OWN, failure_of, unusable_of
from services.jobs.ports import MayFetch, Media, Providers, RenderEvent
from services.jobs.provider_lookup import provider_of
from services.jobs.steps.drop import blame_for, blame_key
from services.jobs.steps.keep_result import keep_result
from services.jobs.store.queue.work import SqlWork
from services.jobs.timing import (
    CHECK_TIMEOUT_SECONDS,
    RENDER_DEADLINE_SECONDS,
    RENDERS_MAX,
    check_seconds,
    retry_seconds,
)
from services.upstream.provider import Done, Pending, RefusalKind, Refused, UpstreamError

log = logging.getLogger(__name__)


async def check(
    claim: Claim,
    *,
    work: SqlWork,
    providers: Providers,
    media: Media,
    may_fetch: MayFetch,
    clock: Clock,
    render_event: RenderEvent,
) -> Claim | None:
    """Stores the result if there is one; otherwise asks again later.

    If no fetch slot is free, the result is fetched as soon as one is. When the task is first seen to run, that is recorded
    and an event is written. A missing answer is not a failure: the job is given up only if the provider says so, or at the
    last deadline.
    """
    assert claim.attempt is not None
    assert claim.attempt.task_id is not None
    try:
        provider = provider_of(claim.attempt, claim.job.owner.environment, providers)
        answer = await provider.check(claim.attempt.task_id, timeout_seconds=CHECK_TIMEOUT_SECONDS)
    except UpstreamError as error:
        log.warning("attempt=%s no answer detail=%s", claim.attempt.id, error.detail)
        await blame_key(claim.attempt, error, work=work)
        answer = None
    if isinstance(answer, Done):
        claim = replace(claim, rendered_at=answer.ended_at or clock())
        if not may_fetch(claim):
            await work.postpone(claim, seconds=0, awaits_fetch=True)
            return None
        return await keep_result(
            claim,
            answer,
            headers_for=provider.media_headers,
            work=work,
            media=media,
            clock=clock,
            render_event=render_event,
        )
    if isinstance(answer, Refused):
        return await _ended(claim, answer, work=work)
    if isinstance(answer, Pending) and answer.running and claim.job.started_at is None:
        started = replace(claim.job, started_at=(now := clock()))
        claim = await work.note_running(claim, started_at=now, event=render_event(claim.job, started, now))
    if claim.attempt_age_seconds > RENDER_DEADLINE_SECONDS:
        return await work.give_up(
            claim, failure=FailureCode.TIMEOUT, detail="still running at the last deadline", may_run=True
        )
    await work.postpone(claim, seconds=check_seconds(claim.check_count), checked=True)
    return None


async def _ended(claim: Claim, refused: Refused, *, work: SqlWork) -> Claim | None:
    """Has another route render what the provider could not, up to RENDERS_MAX tasks. Otherwise gives the job up.

    The route is blamed for each of them, the last one too.
    """
    attempt = claim.attempt
    assert attempt is not None
    is_routes = refused.kind is RefusalKind.UNAVAILABLE
    blame = blame_for(attempt, Blame(fault=Fault.RENDER))
    if is_routes and await work.renders_started(claim.job.id) < RENDERS_MAX:
        log.warning(
            "attempt=%s route=%s could not render detail=%s", attempt.id, attempt.route, refused.detail
        )
        await work.drop_attempt(
            claim,
            outcome=refused.kind.value,
            detail=refused.detail,
            seconds=retry_seconds(attempt.number),
            blame=blame,
        )
        return None
    given_up = await work.give_up(
        claim,
        failure=failure_of(refused),
        detail=refused.detail,
        unusable=unusable_of(refused, claim.job),
        failure_class=refused.kind.value,
        has_answered=refused.kind in CUSTOMERS_OWN,
    )
    if is_routes and blame.fault is not None:
        await work.blame(attempt, blame.fault, failure_class=refused.kind.value)
    return given_up
