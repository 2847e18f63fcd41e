"""Makes refunds that are on record and were not made, because a process died or billing did not answer."""

import logging
from functools import partial

from services.common.errors import ServiceError
from services.common.loop import Duty
from services.common.postgres.connection import is_outage
from services.jobs.operations.refunds import settle_refund
from services.jobs.ports import Ledger
from services.jobs.store.refunds import SqlRefunds

log = logging.getLogger(__name__)

REFUNDS_MAX = 20
IDLE_SECONDS = 5.0


def settle_refunds(*, refunds: SqlRefunds, ledger: Ledger) -> Duty:
    """Returns the duty. One refund that fails does not hold up the others."""
    return Duty("refunds", partial(_settle_due, refunds, ledger), idle_seconds=IDLE_SECONDS)


async def _settle_due(refunds: SqlRefunds, ledger: Ledger) -> int:
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
