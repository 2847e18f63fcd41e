"""Stops tasks at providers that no job waits for, or watches them until they end."""

import logging
from functools import partial

from services.common.loop import Duty
from services.jobs.ports import Providers
from services.jobs.provider_lookup import provider_at
from services.jobs.store.queue.strays import SqlStrays, Stray, StrayEnd
from services.jobs.timing import CHECK_TIMEOUT_SECONDS
from services.upstream.provider import Done, Refused, UpstreamError

log = logging.getLogger(__name__)

IDLE_SECONDS = 5.0


def stop_strays(*, strays: SqlStrays, providers: Providers) -> Duty:
    """Returns the duty, which takes one stray task at a time.

    A task that still runs, or whose provider does not answer, is due again later. Its job is not touched.
    """
    return Duty("strays", partial(_stop_due, strays, providers), idle_seconds=IDLE_SECONDS)


async def _stop_due(strays: SqlStrays, providers: Providers) -> int:
    stray = await strays.take_due()
    if stray is None:
        return 0
    try:
        end = await _end_of(stray, providers)
    except UpstreamError as error:
        log.warning(
            "attempt=%s task=%s stray, not stopped: %s", stray.attempt_id, stray.task_id, error.detail
        )
        end = None
    if end is None and stray.is_overdue:
        end = StrayEnd.UNKNOWN
    if end is not None:
        log.warning("attempt=%s task=%s stray, %s", stray.attempt_id, stray.task_id, end)
        await strays.end(stray, end)
    return 1


async def _end_of(stray: Stray, providers: Providers) -> StrayEnd | None:
    provider = provider_at(
        stray.route,
        stray.environment,
        providers,
        credential=stray.credential,
        key_name=stray.key_name,
        attempt_id=stray.attempt_id,
    )
    # A callback that nobody signed may have named any task, also one that another job waits for.
    if not stray.is_certain and not await provider.carries(
        stray.task_id, stray.attempt_id, timeout_seconds=CHECK_TIMEOUT_SECONDS
    ):
        return StrayEnd.ABSENT
    found = await provider.check(stray.task_id, timeout_seconds=CHECK_TIMEOUT_SECONDS)
    if isinstance(found, Done):
        return StrayEnd.RENDERED
    if isinstance(found, Refused):
        return StrayEnd.FAILED
    is_stopped = await provider.cancel(stray.task_id, timeout_seconds=CHECK_TIMEOUT_SECONDS)
    return StrayEnd.STOPPED if is_stopped else None
