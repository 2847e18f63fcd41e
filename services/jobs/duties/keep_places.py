"""Compares what is kept about places with the jobs that have them, and puts it right should it ever differ."""

import logging
from functools import partial

from services.common.loop import Duty
from services.jobs.store.admission.recount import SqlPlaces

log = logging.getLogger(__name__)

IDLE_SECONDS = 300.0


def keep_places(places: SqlPlaces) -> Duty:
    """Returns the duty."""
    return Duty("places", partial(_keep, places), idle_seconds=IDLE_SECONDS)


async def _keep(places: SqlPlaces) -> int:
    """Returns 0, so that a pause always follows."""
    await places.fold()
    for found in await places.mend():
        log.error(
            "account=%s environment=%s key=%s places were miscounted: placed %+d, waiting %+d put right",
            found.account_id,
            found.environment,
            found.key_id,
            found.placed_more,
            found.waiting_more,
        )
    return 0
