"""PENDING to SUBMITTING: make the hold last, choose a provider, put the attempt on record."""

from collections.abc import Callable

from services.common.errors import Reason, ServiceError
from services.jobs.domain import (
    Claim,
    FailureCode,
    Job,
    Route,
)
from services.jobs.ports import Ledger, Work
from services.jobs.steps.timing import HOLD_SECONDS, START_DEADLINE_SECONDS

HOLD_GONE = (Reason.HOLD_EXPIRED, Reason.HOLD_RELEASED)
"""Not confirmed in time, or given back by a request that did not learn that its job had been stored."""


async def begin_attempt(
    claim: Claim,
    *,
    work: Work,
    ledger: Ledger,
    choose_route: Callable[[Job], Route],
    new_token: Callable[[], str],
) -> Claim:
    """Puts an attempt on record before any provider hears of it.

    Gives the job up when it waited too long, or when its hold is gone.
    """
    if claim.admitted_seconds > START_DEADLINE_SECONDS:
        return await work.give_up(claim, failure=FailureCode.TIMEOUT, detail="not started in time")
    try:
        await ledger.confirm(claim.job.id, lasts_seconds=HOLD_SECONDS)
    except ServiceError as error:
        if error.reason not in HOLD_GONE:
            raise
        return await work.give_up(claim, failure=FailureCode.TIMEOUT, detail=f"hold: {error.reason}")
    return await work.open_attempt(claim, route=choose_route(claim.job), token=new_token())
