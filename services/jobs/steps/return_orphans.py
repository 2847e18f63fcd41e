"""Holds of creations that died before their job was stored: the credits go back."""

import logging

from services.common.errors import ServiceError
from services.jobs.clients import HoldClient
from services.jobs.domain.ledger import ORPHAN_SECONDS
from services.jobs.ports import Ledger, Records

log = logging.getLogger(__name__)

HOLDS_MAX = 500


class Orphans:
    """Goes through all old holds of jobs not begun, a page each time, and from the lowest again after the highest.

    That no job comes any more for a hold of that age is seen to by whoever stores jobs.
    """

    def __init__(
        self, *, holds: HoldClient, records: Records, ledger: Ledger, holds_max: int = HOLDS_MAX
    ) -> None:
        self._holds = holds
        self._records = records
        self._ledger = ledger
        self._holds_max = holds_max
        self._after_id = ""

    async def return_once(self) -> int:
        """Releases the holds of a page that have no job. Returns 0 at the end of a round, else how many were looked at."""
        page = await self._holds.unconfirmed(
            age_seconds_min=ORPHAN_SECONDS, after_id=self._after_id, holds_max=self._holds_max
        )
        known = {job.job_id for job in await self._records.get([hold.hold_id for hold in page])}
        for hold in page:
            if hold.hold_id not in known:
                await self._release(hold.hold_id)
        self._after_id = page[-1].hold_id if len(page) == self._holds_max else ""
        return len(page) if self._after_id else 0

    async def _release(self, hold_id: str) -> None:
        try:
            await self._ledger.release(hold_id)
        except ServiceError as error:
            # One that cannot be released must not keep the others; it is met again in the next round.
            log.warning("hold=%s reason=%s an orphan is not given back", hold_id, error.reason)
        else:
            log.warning("hold=%s no job came of it; its credits are given back", hold_id)
