"""PENDING to SUBMITTING: make the hold last, choose a provider, put the attempt on record."""

from collections.abc import Callable

from services.common.errors import Reason, ServiceError
from services.jobs.domain import Claim, FailureCode, Job, Route
from services.jobs.ports import Ledger, Work
from services.jobs.steps.timing import START_DEADLINE_SECONDS


async def begin_attempt(
    claim: Claim,
    *,
    work: Work,
    ledger: Ledger,
    choose_route: Callable[[Job], Route],
    new_token: Callable[[], str],
) -> Claim:
    """Puts an attempt on record before any provider hears of it.

    Gives the job up when it waited too long, or when its hold has expired meanwhile.
    """
    if claim.job_age_seconds > START_DEADLINE_SECONDS:
        return await work.give_up(claim, failure=FailureCode.TIMEOUT, detail="not started in time")
    try:
        await ledger.confirm(claim.job.id)
    except ServiceError as error:
        if error.reason is not Reason.HOLD_EXPIRED:
            raise
        return await work.give_up(claim, failure=FailureCode.TIMEOUT, detail="the hold expired")
    return await work.open_attempt(claim, route=choose_route(claim.job), token=new_token())
