from collections.abc import Callable

from services.webhooks.ports import Redeliveries

DELIVERIES_PER_BATCH_MAX = 500


async def advance_redelivery(*, redeliveries: Redeliveries, ring: Callable[[], None]) -> int:
    """Works off a batch of the oldest running task. Returns 0 when nothing is left to do."""
    examined = await redeliveries.advance(deliveries_max=DELIVERIES_PER_BATCH_MAX)
    if examined:
        ring()
    return examined
