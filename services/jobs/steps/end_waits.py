"""PENDING without a place at a provider to FAILING: the wait ends some day."""

from services.jobs.domain.failures import FailureCode
from services.jobs.store.admission.waiting import SqlWaiting
from services.jobs.store.queue.withdrawals import SqlWithdrawals
from services.jobs.timing import WAIT_SECONDS_MAX

WAITS_MAX = 50


async def end_waits(*, waiting: SqlWaiting, withdrawals: SqlWithdrawals) -> int:
    """Gives jobs up that waited too long for a place. Returns how many there were in the batch."""
    overdue = await waiting.overdue(wait_seconds_max=WAIT_SECONDS_MAX, limit=WAITS_MAX)
    for job_id in overdue:
        await withdrawals.withdraw(job_id, failure=FailureCode.TIMEOUT, lease_seconds=0)
    return len(overdue)
