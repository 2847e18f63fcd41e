"""Fails jobs that waited too long for a slot at a provider."""

from functools import partial

from services.common.loop import Duty
from services.jobs.domain.failures import FailureCode
from services.jobs.store.admission.waiting import SqlWaiting
from services.jobs.store.queue.withdrawals import SqlWithdrawals
from services.jobs.timing import WAIT_SECONDS_MAX

WAITS_MAX = 50
IDLE_SECONDS = 5.0


def end_waits(*, waiting: SqlWaiting, withdrawals: SqlWithdrawals) -> Duty:
    """Returns the duty. The walk returns the credits of the jobs it moves to FAILING."""
    return Duty("waiting", partial(_end_waits, waiting, withdrawals), idle_seconds=IDLE_SECONDS)


async def _end_waits(waiting: SqlWaiting, withdrawals: SqlWithdrawals) -> int:
    overdue = await waiting.overdue(wait_seconds_max=WAIT_SECONDS_MAX, limit=WAITS_MAX)
    for job_id in overdue:
        await withdrawals.withdraw(job_id, failure=FailureCode.TIMEOUT, lease_seconds=0)
    return len(overdue)
