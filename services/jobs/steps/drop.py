"""SUBMITTING to PENDING: the order certainly started nothing, and another route is tried before the same one."""

import logging
from dataclasses import replace

from services.jobs.domain.claims import NO_BLAME, Attempt, Blame, Claim, Fault
from services.jobs.domain.routes import SIMULATOR
from services.jobs.provider_lookup import UnreachableRouteError
from services.jobs.store.queue.work import SqlWork
from services.jobs.timing import BROKEN_WAIT_SECONDS, retry_seconds
from services.upstream.provider import (
    BrokenCause,
    BrokenError,
    BusyError,
    RefusedError,
    UpstreamError,
)

log = logging.getLogger(__name__)


async def drop(claim: Claim, error: UpstreamError, *, work: SqlWork) -> None:
    """Closes the attempt with what the provider said, and blames the route or its credential if they are at fault."""
    attempt = claim.attempt
    assert attempt is not None
    seconds = retry_seconds(attempt.number)
    if isinstance(error, BrokenError):
        log.error("attempt=%s route=%s needs an operator: %s", attempt.id, attempt.route, error.detail)
        seconds = BROKEN_WAIT_SECONDS
    elif isinstance(error, BusyError):
        seconds = error.retry_after_seconds or seconds
    await work.drop_attempt(
        claim,
        outcome=_outcome(error),
        detail=error.detail,
        seconds=seconds,
        blame=blame_for(attempt, blame_of(error)),
    )


def blame_of(error: UpstreamError) -> Blame:
    """Returns what an error of an order says about its route and credential."""
    if isinstance(error, BrokenError):
        if error.cause is BrokenCause.MODEL:
            return Blame(fault=Fault.ROUTE, failure_class=error.cause.value)
        return Blame(failure_class=error.cause.value, takes_out=True)
    if isinstance(error, BusyError):
        return Blame(pause_seconds=error.retry_after_seconds or 0.0)
    if isinstance(error, UnreachableRouteError):
        return NO_BLAME
    return Blame(fault=Fault.ORDER)


def blame_for(attempt: Attempt, blame: Blame) -> Blame:
    """Returns the blame for the failure of an attempt.

    The simulator has none: it fails where a customer asks for that, and must not be kept from the others.
    """
    if attempt.route != SIMULATOR:
        return blame
    return replace(blame, fault=None, takes_out=False, pause_seconds=0.0)


def _outcome(error: UpstreamError) -> str:
    if isinstance(error, BrokenError):
        return "broken"
    if isinstance(error, BusyError):
        return "busy"
    return "unavailable" if isinstance(error, RefusedError) else "unreachable"


async def blame_key(attempt: Attempt, error: UpstreamError, *, work: SqlWork) -> None:
    """Takes the credential out if its provider refused the key of an attempt when asked about its task."""
    if isinstance(error, BrokenError) and blame_for(attempt, blame_of(error)).takes_out:
        log.error(
            "attempt=%s credential=%s needs an operator: %s", attempt.id, attempt.credential, error.detail
        )
        await work.take_out(attempt, reason=error.cause.value)
