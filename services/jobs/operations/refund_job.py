"""Giving credits back for a completed job."""

from services.common.errors import Reason, ServiceError
from services.common.money import in_credits
from services.jobs.operations.get_job import job_not_found
from services.jobs.operations.settle_refund import settle_refund
from services.jobs.ports import Ledger
from services.jobs.store.refunds import Refund, RefundRefusal, SqlRefunds, WantedRefund


async def refund_job(wanted: WantedRefund, *, refunds: SqlRefunds, ledger: Ledger) -> Refund:
    """Gives credits back that a job was charged. Repeating it gives nothing more.

    Once it is on record it will be made, whether this call comes to its end or not.
    Refuses with JOB_NOT_FOUND, JOB_NOT_COMPLETED, REFUND_ABOVE_CHARGE or REFUND_MISMATCH; then nothing is.
    """
    answer = await refunds.register(wanted)
    if isinstance(answer, RefundRefusal):
        raise _refusal(wanted, answer)
    await settle_refund(answer, refunds=refunds, ledger=ledger)
    return answer


def _refusal(wanted: WantedRefund, refusal: RefundRefusal) -> ServiceError:
    if refusal.reason is Reason.JOB_NOT_FOUND:
        return job_not_found(wanted.job_id)
    ids = {"refund_id": wanted.refund_id, "job_id": wanted.job_id}
    if refusal.reason is Reason.JOB_NOT_COMPLETED:
        message = f"Job {wanted.job_id} is not completed: it was charged nothing that could be refunded."
        return ServiceError(refusal.reason, message, **ids)
    if refusal.reason is Reason.REFUND_MISMATCH:
        message = f"Refund {wanted.refund_id} was made before for another job or amount."
        return ServiceError(refusal.reason, message, **ids)
    left = refusal.left_micros
    message = f"Of what job {wanted.job_id} was charged, {in_credits(left)} credits can still be refunded."
    return ServiceError(refusal.reason, message, left_micros=str(left), **ids)
