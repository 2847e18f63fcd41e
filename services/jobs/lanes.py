"""How many jobs a worker handles at once: it walks jobs in one lane and fetches results in another.

A slow provider can hold up a fetch for minutes and a walk for seconds, so each lane has slots of its own, and one account
in one environment gets at most half of them.
"""

from collections import Counter
from collections.abc import Callable
from enum import Enum

from services.jobs.domain.claims import Claim
from services.jobs.domain.requests import Owner


class Lane(Enum):
    """What a worker does with a job."""

    WALK = "walk"
    FETCH = "fetch"


CAPACITY = {Lane.WALK: 100, Lane.FETCH: 64}
"""Jobs in each lane at the same time, in one worker."""
SHARE = {lane: capacity // 2 for lane, capacity in CAPACITY.items()}
"""Jobs of one account in one environment."""


class Lanes:
    """Which job is in which lane. `freed` is called with a lane when a slot is freed that a job may have waited for."""

    def __init__(self, *, freed: Callable[[Lane], None] = lambda _lane: None) -> None:
        self._lane_of: dict[tuple[str, int], tuple[Lane, Owner]] = {}
        self._busy: dict[Lane, Counter[Owner]] = {lane: Counter() for lane in Lane}
        self.freed = freed

    def free(self, lane: Lane) -> int:
        """Returns the number of free slots."""
        return CAPACITY[lane] - self._busy[lane].total()

    def busy(self, lane: Lane) -> Counter[Owner]:
        """Returns how many jobs of each account are in a lane."""
        return self._busy[lane]

    def enter(self, claim: Claim, lane: Lane) -> None:
        """Puts a job into a lane that has a free slot."""
        owner = claim.job.owner
        self._lane_of[claim.job.id, claim.lease_no] = (lane, owner)
        self._busy[lane][owner] += 1

    def leave(self, claim: Claim) -> None:
        """Takes a job out of its lane."""
        lane, owner = self._lane_of.pop((claim.job.id, claim.lease_no))
        was_held_back = self.free(lane) == 0 or self._busy[lane][owner] >= SHARE[lane]
        self._busy[lane][owner] -= 1
        if not self._busy[lane][owner]:
            del self._busy[lane][owner]
        if was_held_back:
            self.freed(lane)

    def may_fetch(self, claim: Claim) -> bool:
        """Moves a job from the walks to the fetches if they have a free slot. Returns whether it is there."""
        lane, owner = self._lane_of[claim.job.id, claim.lease_no]
        if lane is Lane.FETCH:
            return True
        if self.free(Lane.FETCH) == 0 or self._busy[Lane.FETCH][owner] >= SHARE[Lane.FETCH]:
            return False
        self.leave(claim)
        self.enter(claim, Lane.FETCH)
        return True
