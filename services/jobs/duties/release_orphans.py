"""Releases holds whose job was never stored, because the request that made them died."""

import logging

from services.common.errors import ServiceError
from services.common.loop import Duty
from services.jobs.clients import HoldClient
from services.jobs.domain.ledger import ORPHAN_SECONDS
from services.jobs.ports import Ledger, Records

log = logging.getLogger(__name__)

HOLDS_MAX = 500
IDLE_SECONDS = 15.0


def release_orphans(
    *, holds: HoldClient, records: Records, ledger: Ledger, holds_max: int = HOLDS_MAX
) -> Duty:
    """Returns the duty. It reads all old unconfirmed holds in pages of `holds_max`, in an endless loop.

    No job can still come for a hold of that age: the store refuses jobs whose creation began too long ago.
    """
    orphans = _Orphans(holds=holds, records=records, ledger=ledger, holds_max=holds_max)
    return Duty("orphans", orphans.release_page, idle_seconds=IDLE_SECONDS)


class _Orphans:
    def __init__(self, *, holds: HoldClient, records: Records, ledger: Ledger, holds_max: int) -> None:
        self._holds = holds
        self._records = records
        self._ledger = ledger
        self._holds_max = holds_max
        self._after_id = ""

    async def release_page(self) -> int:
        """Releases the holds of the next page that have no job. Returns the size of the page, 0 after the last page."""
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
            # The other holds must still be released; this one is tried again in the next round.
            log.warning("hold=%s reason=%s has no job and was not released", hold_id, error.reason)
        else:
            log.warning("hold=%s has no job; released", hold_id)
