"""Jobs that are forgotten, and what billing still knows of them."""

from collections.abc import Sequence

from services.jobs.domain.ledger import Hold, HoldState
from services.jobs.ports import Records


async def settled_for_good(holds: Sequence[Hold], records: Records) -> set[str]:
    """Returns the ids of those holds that were captured for a job that is forgotten since.

    A month of jobs is forgotten after all of them are settled, so the ledger alone tells what was paid for them.
    """
    captured = [hold.hold_id for hold in holds if hold.state is HoldState.CAPTURED]
    return await records.forgotten(captured)
