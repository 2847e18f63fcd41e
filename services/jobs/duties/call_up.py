"""Calls up jobs that wait for a route, as soon as one has room for them."""

from collections.abc import Callable
from functools import partial

from services.common.loop import Duty
from services.jobs.domain.catalogue import Catalogue
from services.jobs.store.queue.parked import SqlParked

IDLE_SECONDS = 1.0
REST_SECONDS = 0.2
"""Room that comes meanwhile is given away together."""


def call_up(*, parked: SqlParked, catalogue: Callable[[], Catalogue], notify: Callable[[], None]) -> Duty:
    """Returns the duty. `notify` wakes the workers."""
    return Duty(
        "parked",
        partial(_call_up, parked, catalogue, notify),
        idle_seconds=IDLE_SECONDS,
        rest_seconds=REST_SECONDS,
    )


async def _call_up(parked: SqlParked, catalogue: Callable[[], Catalogue], notify: Callable[[], None]) -> int:
    known = catalogue()
    called = await parked.call_up(
        tuple(known.credentials.values()),
        credential_by_route={name: route.credential for name, route in known.routes.items()},
    )
    if called:
        notify()
    return called
