"""Tells accounts which of their endpoints were disabled."""

from collections.abc import Callable

from services.webhooks.domain import DisabledEndpoint, Event
from services.webhooks.store.disabled import SqlDisabledEndpoints

ENDPOINTS_MAX = 100
HEADS_MAX = 1_000


async def announce_disabled(
    *, endpoints: SqlDisabledEndpoints, render_event: Callable[[DisabledEndpoint], Event]
) -> int:
    """Tells accounts which endpoints were disabled, and gives up deliveries that still waited for one.

    Returns how much was done, 0 when nothing is left. Safe to repeat at any point.
    """
    disabled = await endpoints.unannounced(endpoints_max=ENDPOINTS_MAX)
    for endpoint in disabled:
        await endpoints.announce(render_event(endpoint), endpoint_id=endpoint.endpoint_id)
    return len(disabled) + await endpoints.give_up_waiting(heads_max=HEADS_MAX)
