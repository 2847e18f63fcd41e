"""Works off the tasks that deliver many events again, batch by batch."""

from collections.abc import Callable
from functools import partial

from services.common.loop import Duty
from services.webhooks.store.redeliveries import SqlRedeliveries

DELIVERIES_PER_RUN_MAX = 500
IDLE_SECONDS = 1.0


def advance_redeliveries(redeliveries: SqlRedeliveries, *, notify: Callable[[], None]) -> Duty:
    """Returns the duty. It notifies the dispatcher of what it makes due."""
    return Duty("redeliver", partial(_advance, redeliveries, notify), idle_seconds=IDLE_SECONDS)


async def _advance(redeliveries: SqlRedeliveries, notify: Callable[[], None]) -> int:
    examined_count = await redeliveries.advance(deliveries_max=DELIVERIES_PER_RUN_MAX)
    if examined_count:
        notify()
    return examined_count
