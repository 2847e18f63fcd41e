"""SUBMITTING to PROCESSING: ask the provider, once."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from services.common.clock import Clock
from services.jobs.domain.claims import Attempt, Claim, LeaseLostError
from services.jobs.domain.job import Job
from services.jobs.failures import failure_of, unusable_of
from services.jobs.ports import Providers, RenderEvent
from services.jobs.provider_lookup import UnreachableRouteError, provider_of
from services.jobs.steps.adopt import adopt
from services.jobs.steps.drop import drop
from services.jobs.store.queue.work import SqlWork
from services.jobs.timing import LOOK_AGAIN_SECONDS, SUBMIT_TIMEOUT_SECONDS
from services.media.errors import MediaUnavailableError
from services.upstream.provider import (
    BrokenError,
    BusyError,
    Order,
    RefusalKind,
    RefusedError,
    UnknownError,
    UnreachableError,
)

log = logging.getLogger(__name__)

Readable = Callable[[str], Awaitable[str]]


async def as_sent(url: str) -> str:
    """Returns a reference as its sender wrote it, where there are no uploads."""
    return url


def no_options(_route: str) -> Mapping[str, str]:
    """Returns what a route asks beyond the job: nothing."""
    return {}


async def submit(
    claim: Claim,
    *,
    work: SqlWork,
    providers: Providers,
    callback_url: Callable[[str], str | None],
    options_of: Callable[[str], Mapping[str, str]] = no_options,
    clock: Clock,
    render_event: RenderEvent,
    readable: Readable = as_sent,
) -> Claim | None:
    """Starts the render of an attempt that this lease opened.

    `readable` returns where the provider can read a reference.
    If nothing was started, the job goes back to PENDING and tries another route before this one. If there is no usable
    answer, the attempt stays open, and the worker that claims the job next looks for the task.
    """
    attempt = claim.attempt
    assert attempt is not None
    assert attempt.lease_no == claim.lease_no, "only the lease that opened an attempt may submit it"
    try:
        order = await readable_order(order_of(claim.job, attempt, options_of(attempt.route)), readable)
        provider = provider_of(attempt, claim.job.owner.environment, providers)
        if asyncio.get_running_loop().time() > claim.submit_until:
            # The worker that has the job by now may find no task and open another attempt.
            detail = "the worker was paused before it asked"
            await work.drop_attempt(claim, outcome="late", detail=detail, seconds=0)
            return None
        task_id = await provider.submit(
            order,
            correlation_id=attempt.id,
            callback_url=callback_url(attempt.token),
            timeout_seconds=SUBMIT_TIMEOUT_SECONDS,
        )
    except RefusedError as error:
        if error.refused.kind is RefusalKind.UNAVAILABLE:
            await drop(claim, error, work=work)
            return None
        unusable = unusable_of(error.refused, claim.job)
        return await work.give_up(
            claim,
            failure=failure_of(error.refused),
            detail=error.detail,
            unusable=unusable,
            failure_class=error.refused.kind.value,
            has_answered=True,
        )
    except (BusyError, UnreachableError, UnreachableRouteError, BrokenError) as error:
        await drop(claim, error, work=work)
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


def order_of(job: Job, attempt: Attempt, options: Mapping[str, str]) -> Order:
    """Returns the order: the resolved input, with the provider's name for the model, and what the route asks besides."""
    return Order(model=attempt.upstream_model, options=options, **vars(job.input))


async def readable_order(order: Order, readable: Readable) -> Order:
    """Returns an order whose references are where a provider can read them. Raises UnreachableError."""
    if not order.references:
        return order

    async def each(urls: tuple[str, ...]) -> tuple[str, ...]:
        return tuple([await readable(url) for url in urls])

    try:
        return replace(
            order,
            image_urls=await each(order.image_urls),
            video_urls=await each(order.video_urls),
            audio_urls=await each(order.audio_urls),
            start_image_url=order.start_image_url and await readable(order.start_image_url),
            end_image_url=order.end_image_url and await readable(order.end_image_url),
        )
    except MediaUnavailableError as error:
        raise UnreachableError(error.detail) from error
