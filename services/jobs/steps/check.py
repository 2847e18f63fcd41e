"""PROCESSING: ask the provider how the task fares."""

import logging

from services.jobs.domain import Claim, FailureCode
from services.jobs.ports import Media, Providers, Work
from services.jobs.steps.failures import failure_of
from services.jobs.steps.keep_result import keep_result
from services.jobs.steps.timing import CHECK_TIMEOUT_SECONDS, RENDER_DEADLINE_SECONDS, check_seconds
from services.upstream.contract import Done, Refused, UpstreamError

log = logging.getLogger(__name__)


async def check(claim: Claim, *, work: Work, providers: Providers, media: Media) -> Claim | None:
    """Goes on to keep the result when there is one; asks again later when there is none yet.

    No answer is not a failure: the job is given up only when the provider says so, or at the very last deadline.
    """
    attempt = claim.attempt
    assert attempt is not None
    assert attempt.task_id is not None
    try:
        answer = await providers[attempt.route].check(attempt.task_id, timeout_seconds=CHECK_TIMEOUT_SECONDS)
    except UpstreamError as error:
        log.warning("attempt=%s unanswered detail=%s", attempt.id, error.detail)
        answer = None
    if isinstance(answer, Done):
        return await keep_result(claim, answer, work=work, media=media)
    if isinstance(answer, Refused):
        return await work.give_up(claim, failure=failure_of(answer), detail=answer.detail)
    if claim.attempt_age_seconds > RENDER_DEADLINE_SECONDS:
        return await work.give_up(
            claim, failure=FailureCode.TIMEOUT, detail="still running at the last deadline"
        )
    await work.postpone(claim, seconds=check_seconds(claim.check_count), checked=True)
    return None
