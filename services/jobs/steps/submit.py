"""SUBMITTING to PROCESSING: ask the provider, once."""

import asyncio
import logging
from collections.abc import Callable

from services.common.clock import Clock
from services.jobs.domain.claims import Attempt, Claim, LeaseLostError
from services.jobs.domain.job import Job
from services.jobs.failures import failure_of, unusable_of
from services.jobs.ports import Providers, RenderEvent
from services.jobs.provider_lookup import UnreachableRouteError, provider_of
from services.jobs.steps.adopt import adopt
from services.jobs.store.queue.work import SqlWork
from services.jobs.timing import (
    BROKEN_WAIT_SECONDS,
    LOOK_AGAIN_SECONDS,
    SUBMIT_TIMEOUT_SECONDS,
    retry_seconds,
)
from services.upstream.provider import (
    BrokenError,
    BusyError,
    Order,
    RefusedError,
    UnknownError,
    UnreachableError,
)

log = logging.getLogger(__name__)


async def submit(
    claim: Claim,
    *,
    work: SqlWork,
    providers: Providers,
    callback_url: Callable[[str], str | None],
    clock: Clock,
    render_event: RenderEvent,
) -> Claim | None:
    """Starts the render of an attempt that this lease opened.

    If there is no usable answer, the attempt stays open, and the worker that claims the job next looks for the task.
    """
    attempt = claim.attempt
    assert attempt is not None
    assert attempt.lease_no == claim.lease_no, "only the lease that opened an attempt may submit it"
    try:
        provider = provider_of(attempt, claim.job.owner.environment, providers)
        if asyncio.get_running_loop().time() > claim.submit_until:
            # The worker that has the job by now may find no task and open another attempt.
            await work.drop_attempt(
                claim, outcome="late", detail="the worker was paused before it asked", seconds=0
            )
            return None
        task_id = await provider.submit(
            order_of(claim.job, attempt),
            correlation_id=attempt.id,
            callback_url=callback_url(attempt.token),
            timeout_seconds=SUBMIT_TIMEOUT_SECONDS,
        )
    except RefusedError as error:
        unusable = unusable_of(error.refused, claim.job)
        return await work.give_up(
            claim, failure=failure_of(error.refused), detail=error.detail, unusable=unusable
        )
    except BusyError as error:
        seconds = error.retry_after_seconds or retry_seconds(attempt.number)
        await work.drop_attempt(claim, outcome="busy", detail=error.detail, seconds=seconds)
    except (UnreachableError, UnreachableRouteError) as error:
        seconds = retry_seconds(attempt.number)
        await work.drop_attempt(claim, outcome="unreachable", detail=error.detail, seconds=seconds)
    except BrokenError as error:
        log.exception("attempt=%s route=%s needs an operator", attempt.id, attempt.route)
        await work.drop_attempt(claim, outcome="broken", detail=error.detail, seconds=BROKEN_WAIT_SECONDS)
    except UnknownError as error:
        log.warning("attempt=%s outcome=unknown detail=%s", attempt.id, error.detail)
        await work.postpone(claim, seconds=LOOK_AGAIN_SECONDS)
    else:
        try:
            await adopt(claim, task_id, work=work, clock=clock, render_event=render_event)
        except LeaseLostError:
            # The worker that has the job now adopts the task; if the attempt is closed, the task is a stray.
            await work.note_stray(attempt, task_id)
            raise
    return None


def order_of(job: Job, attempt: Attempt) -> Order:
    """Returns the order: the resolved input, with the provider's name for the model."""
    return Order(model=attempt.upstream_model, **vars(job.input))
