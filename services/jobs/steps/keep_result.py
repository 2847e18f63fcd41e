"""PROCESSING to STORED: store the result."""

import logging
from dataclasses import replace

from services.common.clock import Clock
from services.jobs.domain.claims import Claim
from services.jobs.domain.failures import FailureCode
from services.jobs.ports import HeadersFor, Media, RenderEvent, ResultRejectedError, ResultUnavailableError
from services.jobs.store.queue.work import SqlWork
from services.jobs.timing import RENDER_DEADLINE_SECONDS, retry_seconds
from services.upstream.provider import Done

log = logging.getLogger(__name__)


async def keep_result(
    claim: Claim,
    done: Done,
    *,
    headers_for: HeadersFor,
    work: SqlWork,
    media: Media,
    clock: Clock,
    render_event: RenderEvent,
) -> Claim | None:
    """Stages the result, which nobody can read until its job is sure to complete.

    `headers_for` says what the result's address needs beside it. If it cannot be fetched now, it is fetched later from a new
    address. A job that was never seen to run counts as started
    now.
    """
    assert claim.attempt is not None
    try:
        output = await media.keep(
            claim.job, source_url=done.video_url, headers_for=headers_for, secret=claim.attempt.token
        )
    except ResultRejectedError as error:
        # It was rendered, so it is charged.
        return await work.give_up(
            claim,
            failure=FailureCode.GENERATION_FAILED,
            detail=str(error),
            failure_class="rejected",
            is_charged=True,
        )
    except ResultUnavailableError as error:
        if claim.attempt_age_seconds > RENDER_DEADLINE_SECONDS:
            return await work.give_up(
                claim,
                failure=FailureCode.TIMEOUT,
                detail=str(error),
                failure_class="not_fetched",
                is_charged=True,
            )
        log.warning("job=%s result unavailable: %s", claim.job.id, error)
        await work.postpone(claim, seconds=retry_seconds(claim.check_count), checked=True)
        return None
    started_at, event = claim.job.started_at, None
    if started_at is None:
        started_at = clock()
        event = render_event(claim.job, replace(claim.job, started_at=started_at), started_at)
    return await work.keep_output(claim, output, started_at=started_at, event=event)
