"""Checks page by page that jobs, usage and the ledger agree, and logs what does not."""

from functools import partial

from services.common.loop import Duty
from services.common.verification.checks import verifying
from services.jobs.operations.verify_jobs import AMOUNT_RULES, CHECKS, verify_jobs
from services.jobs.ports import Holds, Records


def verify_books(*, records: Records, holds: Holds) -> Duty:
    """Returns the duty. It pauses after each page, as `verifying` says."""
    return verifying(partial(verify_jobs, records=records, holds=holds), checks=CHECKS, amounts=AMOUNT_RULES)
