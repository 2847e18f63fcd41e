"""How many jobs a worker has under way: walks, and apart from them the results it fetches.

A slow provider can hold a fetch for minutes and a walk for seconds. So neither is begun on the other's room, and one
account in one environment gets a share of each that leaves room for others.
"""

from collections import Counter
from collections.abc import Callable
from enum import Enum

from services.jobs.domain.claims import Claim
from services.jobs.domain.requests import Owner


class Lane(Enum):
    """What is done to a job, as far as it needs room."""

    WALK = "walk"
    FETCH = "fetch"


ROOM = {Lane.WALK: 100, Lane.FETCH: 64}
"""Jobs in each lane at the same time, in one worker."""
SHARE = {lane: room // 2 for lane, room in ROOM.items()}
"""Of one account in one environment."""


class Lanes:
    """Who is in which lane. `freed` is called with a lane when somebody may be let in who was not before."""

    def __init__(self, *, freed: Callable[[Lane], None] = lambda _lane: None) -> None:
        self._lane_of: dict[tuple[str, int], tuple[Lane, Owner]] = {}
        self._busy: dict[Lane, Counter[Owner]] = {lane: Counter() for lane in Lane}
        self.freed = freed

    def room(self, lane: Lane) -> int:
        """Returns how many more jobs may enter."""
        return ROOM[lane] - self._busy[lane].total()

    def busy(self, lane: Lane) -> Counter[Owner]:
        """Returns how many jobs of each account are in a lane."""
        return self._busy[lane]

    def enter(self, claim: Claim, lane: Lane) -> None:
        """Puts a job into a lane, which has room for it."""
        owner = claim.job.owner
        self._lane_of[claim.job.id, claim.lease_no] = (lane, owner)
        self._busy[lane][owner] += 1

    def leave(self, claim: Claim) -> None:
        """Takes a job out of its lane."""
        lane, owner = self._lane_of.pop((claim.job.id, claim.lease_no))
        was_held_back = self.room(lane) == 0 or self._busy[lane][owner] >= SHARE[lane]
        self._busy[lane][owner] -= 1
        if not self._busy[lane][owner]:
            del self._busy[lane][owner]
        if was_held_back:
            self.freed(lane)

    def may_fetch(self, claim: Claim) -> bool:
        """Moves a walking job over to the fetches, if they have room for it. Returns whether it is there."""
        lane, owner = self._lane_of[claim.job.id, claim.lease_no]
        if lane is Lane.FETCH:
            return True
        if self.room(Lane.FETCH) == 0 or self._busy[Lane.FETCH][owner] >= SHARE[Lane.FETCH]:
            return False
        self.leave(claim)
        self.enter(claim, Lane.FETCH)
        return True
