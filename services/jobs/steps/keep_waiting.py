"""PENDING without a place at a provider: the credits stay set aside, and the wait ends some day."""

import asyncio

from services.common.errors import ServiceError
from services.jobs.domain import FailureCode, WaitingJob
from services.jobs.ports import Ledger, Waiting, Withdrawals
from services.jobs.steps.begin_attempt import HOLD_GONE
from services.jobs.steps.timing import HOLD_SECONDS, WAIT_SECONDS_MAX

WAITING_MAX = 50


async def keep_waiting(*, waiting: Waiting, withdrawals: Withdrawals, ledger: Ledger) -> int:
    """Makes the holds of waiting jobs last, and gives jobs up that waited too long or whose hold is gone.

    Returns how many jobs were looked after. Raises when billing is away; then they are looked after soon.
    """
    due = await waiting.take_due(limit=WAITING_MAX)
    held = await asyncio.gather(*(_is_held(job, ledger=ledger) for job in due))
    await waiting.keep(
        [job.job_id for job, is_held in zip(due, held, strict=True) if is_held],
        wait_seconds_max=WAIT_SECONDS_MAX,
    )
    for job, is_held in zip(due, held, strict=True):
        if not is_held:
            await withdrawals.withdraw(job.job_id, failure=FailureCode.TIMEOUT, lease_seconds=0)
    return len(due)


async def _is_held(job: WaitingJob, *, ledger: Ledger) -> bool:
    if job.waited_seconds > WAIT_SECONDS_MAX:
        return False
    try:
        await ledger.confirm(job.job_id, lasts_seconds=HOLD_SECONDS)
    except ServiceError as error:
        if error.reason not in HOLD_GONE:
            raise
        return False
    return True
