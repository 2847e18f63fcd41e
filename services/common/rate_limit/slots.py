"""What a process may let through of one key by itself. Moments are the process's own clock, in seconds."""

import math
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from services.common.rate_limit.protocol import (
    HORIZON_US,
    MOMENTS_MAX,
    US_PER_SECOND,
    WINDOW_SECONDS,
    WINDOW_US,
    CallLease,
    CallReport,
    Moments,
    moments_of,
    split_moments,
)

RESET_SECONDS_MIN = 1
_NEVER = -math.inf


class _Slots(NamedTuple):
    """Slots that may be used from the same moment on."""

    usable_at: float
    own_moment: int
    """Under which we know by our own clock when the slot is free. 0: we do not."""
    slot_count: int


class HeldCalls:
    """A lease of a key's slots, what was used of it, and the difference between billing's clock and ours.

    Of the two clocks only this is known: the answer says what billing's showed between request and answer. So a
    slot is free when it must be by the later reading, and was used when it may have been by the earlier one. Only
    of slots that were used here before it is known better.
    """

    def __init__(self, *, calls_per_minute: int) -> None:
        self.limit = calls_per_minute
        """Calls in any 60 seconds, as last heard."""
        self.spare_count = 0
        self.elsewhere_count = 0
        self.answered_turn = 0
        self.taken_count = 0
        """Slots used since the last request."""
        self._slots: deque[_Slots] = deque()
        self._own: dict[int, deque[float]] = {}
        """When slots that were used here are free by our own clock, by the moment that billing knows them by."""
        self._used: deque[float] = deque()
        """Since the last answer came, and in the request before it that was not answered."""
        self._told_count = 0
        self._now_us = 0
        self._sent = self._received = 0.0
        self._until = _NEVER
        self._free_count = calls_per_minute
        self._next_free_us = 0

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to tell and nothing to return."""
        return not self._slots and not self._used

    def use(self, now: float) -> bool:
        """Uses a slot, if one may be used now."""
        usable_at = self.usable_at()
        if usable_at is None or usable_at > now or now > self._until:
            return False
        slots = self._slots.popleft()
        if slots.slot_count > 1:
            self._slots.appendleft(slots._replace(slot_count=slots.slot_count - 1))
        if slots.own_moment:
            self._own[slots.own_moment].popleft()
        self.taken_count += 1
        self._used.append(now)
        return True

    def usable_at(self) -> float | None:
        """Returns when the next slot may be used; None if there is none, or the lease ends before."""
        if not self._slots:
            return None
        usable_at = self._slots[0].usable_at
        return usable_at if usable_at <= self._until else None

    def usable_count(self, before: float) -> int:
        """Returns how many slots may be used until a moment."""
        before = min(before, self._until)
        return sum(slots.slot_count for slots in self._slots if slots.usable_at <= before)

    def report(self, key_id: str, *, waiting_count: int) -> CallReport:
        """Returns what to tell and to ask for. What is not kept has been given back by it.

        It needs slots for those who wait, and for as many calls as there just were but one: where they are rare,
        the next call of a key that is seldom used is better waited for than kept a slot for.
        """
        taken_count = self.taken_count
        wanted_count = min(waiting_count + max(0, taken_count - 1), self.limit)
        kept_count = self._keep(wanted_count)
        self.taken_count = 0
        self._told_count = len(self._used)
        return CallReport(
            key_id=key_id,
            answered_turn=self.answered_turn,
            used=moments_of((self._billing(used_at), 1) for used_at in self._used),
            kept_count=kept_count,
            wanted_count=wanted_count,
            takes_share=waiting_count + taken_count > 0,
        )

    def answered(self, lease: CallLease, *, turn: int, now_us: int, sent: float, received: float) -> None:
        """Takes a lease instead of the one before. What was used since the request was used of it."""
        for _ in range(self._told_count):
            used_at = self._used.popleft()
            free_at = self._own.setdefault(self._billing(used_at) + WINDOW_US, deque())
            free_at.append(used_at + WINDOW_SECONDS)
        self.answered_turn = turn
        self._now_us, self._sent, self._received = now_us, sent, received
        _, left = split_moments(lease.slots, len(self._used))
        self._forget_own({moment for moment, _ in left}, before=now_us + HORIZON_US)
        self._slots = deque(sorted(self._usable(left)))
        self._until = sent + (lease.until_us - now_us) / US_PER_SECOND
        self.limit = lease.calls_per_minute
        self.spare_count = lease.spare_count
        self.elsewhere_count = lease.elsewhere_count
        self._free_count = lease.free_count
        self._next_free_us = lease.next_free_us

    def remaining(self) -> int:
        """Returns how many calls the key has left, as far as is known here."""
        return max(0, min(self._free_count, self.limit) - len(self._used))

    def next_free_at(self) -> float | None:
        """Returns when the key has more calls left than now, as far as is known here; None if it has them all."""
        if self._next_free_us:
            return self._local(self._next_free_us)
        return self._used[0] + WINDOW_SECONDS if self._used else None

    def reset_seconds(self, now: float) -> int:
        """Returns the whole seconds until the key has more calls left."""
        free_at = self.next_free_at()
        return RESET_SECONDS_MIN if free_at is None else max(RESET_SECONDS_MIN, math.ceil(free_at - now))

    def _keep(self, count_max: int) -> int:
        """Keeps only so many slots, those that are usable first. Returns how many there are."""
        count = 0
        kept: deque[_Slots] = deque()
        for slots in self._slots:
            if count < count_max:
                kept.append(slots._replace(slot_count=min(slots.slot_count, count_max - count)))
                count += kept[-1].slot_count
        self._slots = kept
        return count

    def _forget_own(self, leased: set[int], *, before: int) -> None:
        """Of what was used here, forgets slots that others may have been leased by now, and the oldest of too many."""
        kept = {
            moment: free_at
            for moment, free_at in self._own.items()
            if free_at and (moment in leased or moment > before)
        }
        self._own = dict(list(kept.items())[-MOMENTS_MAX:])

    def _usable(self, moments: Moments) -> Iterator[_Slots]:
        for moment, count in moments:
            own = list(self._own.get(moment, ()))[:count]
            for free_at in own:
                yield _Slots(free_at, moment, 1)
            if count > len(own):
                yield _Slots(self._local(moment), 0, count - len(own))

    def _local(self, moment_us: int) -> float:
        if moment_us == 0:
            return _NEVER
        return self._received + (moment_us - self._now_us) / US_PER_SECOND

    def _billing(self, used_at: float) -> int:
        return self._now_us + math.ceil((used_at - self._sent) * US_PER_SECOND)
