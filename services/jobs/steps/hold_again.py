"""Credits of an accepted job that the ledger does not know of any more: they are set aside anew."""

from services.common.errors import Reason, ServiceError
from services.jobs.domain.requests import Owner
from services.jobs.ports import Ledger

REFUSALS = frozenset({Reason.CREDITS_INSUFFICIENT, Reason.SPEND_LIMIT_EXCEEDED, Reason.ACCOUNT_NOT_FOUND})
"""The job cannot be paid for."""


async def hold_again(job_id: str, *, owner: Owner, key_id: str, amount_micros: int, ledger: Ledger) -> None:
    """Sets credits aside under the job's own id. Refuses with one of REFUSALS.

    They count to the account alone when the ledger does not know the key either.
    """
    try:
        await ledger.hold(job_id, owner=owner, key_id=key_id, amount_micros=amount_micros)
    except ServiceError as error:
        if error.reason is not Reason.KEY_NOT_FOUND:
            raise
        await ledger.hold(job_id, owner=owner, key_id="", amount_micros=amount_micros)
