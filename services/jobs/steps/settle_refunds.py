"""A refund on record to one that is made: billing gives the credits back, then the job and usage say so."""

import logging

from services.common.errors import ServiceError
from services.common.postgres.database import is_outage
from services.jobs.ports import Ledger
from services.jobs.store.refunds import Refund, SqlRefunds

log = logging.getLogger(__name__)

REFUNDS_MAX = 20


async def settle_refund(refund: Refund, *, refunds: SqlRefunds, ledger: Ledger) -> None:
    """Makes a refund that is on record. A crash in between leaves it on record, and repeating it is harmless."""
    await ledger.refund(
        refund.refund_id,
        hold_id=refund.job_id,
        amount_micros=refund.amount_micros,
        reason=refund.reason,
    )
    await refunds.apply(refund.refund_id)


async def settle_refunds(*, refunds: SqlRefunds, ledger: Ledger) -> int:
    """Goes on with refunds whose process died or found billing away. Returns how many were made."""
    settled = 0
    for refund in await refunds.take_due(limit=REFUNDS_MAX):
        try:
            await settle_refund(refund, refunds=refunds, ledger=ledger)
            settled += 1
        except ServiceError as error:
            log.warning("refund=%s job=%s reason=%s", refund.refund_id, refund.job_id, error.reason)
        except Exception as error:
            if is_outage(error):
                raise
            log.exception("refund=%s job=%s stays on record", refund.refund_id, refund.job_id)
    return settled
