"""How many deliveries one dispatcher has in hand for each receiver and account, so that none takes all capacity."""

from collections import Counter, OrderedDict
from collections.abc import Sequence
from itertools import islice

from services.webhooks.domain import ACCOUNT_MAX, RECEIVER_MAX, Delivery, FreeCapacity, Outcome, Verdict

OVERLOADS_MAX = 5
"""A receiver that failed this often in a row is tried with one delivery at a time, until it takes one."""
QUICK_MS_MAX = 1_000
QUICK_MIN = 16
"""A receiver that took this many in a row, each quickly, is trusted with more at a time."""
QUICK_RECEIVER_MAX = 64
RECENT_MAX = 100
"""Receivers that may have more at a time although nothing of theirs is in hand: those that were tried last."""
REMEMBERED_MAX = 1_000
"""Receivers that are remembered; the least recently used one is forgotten first."""


class Capacity:
    """Counts what is in hand, and how receivers perform. Never delays anything: it only says where capacity is used up.

    A delivery takes room from its claim until its record is committed: attempts that ended and wait to be recorded
    hold places of the dispatcher as well.
    """

    def __init__(self) -> None:
        self._receivers: Counter[str] = Counter()
        self._accounts: Counter[str] = Counter()
        self._streaks: OrderedDict[str, int] = OrderedDict()
        """By receiver: quick successes in a row, or less than 0, overloads in a row."""
        self._full: set[str] = set()
        """The receivers and accounts of which the last claim may have left something."""

    def rooms(self) -> FreeCapacity:
        """Returns how many more may be claimed, wherever that differs from the usual."""
        closed = (receiver_id for receiver_id, streak in self._streaks.items() if streak <= -OVERLOADS_MAX)
        recent = islice(reversed(self._streaks), RECENT_MAX)
        quick = (receiver_id for receiver_id in recent if self._streaks[receiver_id] >= QUICK_MIN)
        receivers = {
            receiver_id: self._max(receiver_id) - self._receivers[receiver_id]
            for receiver_id in {*self._receivers, *closed, *quick}
        }
        accounts = {account_id: ACCOUNT_MAX - count for account_id, count in self._accounts.items()}
        self._full = {key for key, room in (*receivers.items(), *accounts.items()) if room <= 0}
        return FreeCapacity(receivers=receivers, accounts=accounts)

    def begin(self, claimed: Sequence[Delivery], *, rooms: FreeCapacity) -> None:
        """Counts deliveries that were claimed with these rooms."""
        receivers = Counter(delivery.receiver_id for delivery in claimed)
        accounts = Counter(delivery.account_id for delivery in claimed)
        self._full |= {
            key for key, count in receivers.items() if count >= rooms.receivers.get(key, RECEIVER_MAX)
        }
        self._full |= {
            key for key, count in accounts.items() if count >= rooms.accounts.get(key, ACCOUNT_MAX)
        }
        self._receivers += receivers
        self._accounts += accounts

    def end(self, recorded: Sequence[Delivery]) -> bool:
        """Counts deliveries no more.

        Returns whether a receiver or account of theirs had no room left at the last claim, so that more may be waiting.
        """
        for delivery in recorded:
            _decrement(self._receivers, delivery.receiver_id)
            _decrement(self._accounts, delivery.account_id)
        return any(each.receiver_id in self._full or each.account_id in self._full for each in recorded)

    def learn(self, verdict: Verdict) -> None:
        """Remembers how a receiver performed. The next claim uses it, although nothing is recorded yet."""
        receiver_id = verdict.attempt.delivery.receiver_id
        streak = self._streaks.pop(receiver_id, 0)
        if verdict.outcome is Outcome.DELIVERED:
            is_quick = verdict.attempt.latency_ms <= QUICK_MS_MAX
            streak = max(streak, 0) + 1 if is_quick else 0
        elif verdict.is_overload:
            streak = min(streak, 0) - 1
        self._streaks[receiver_id] = streak
        if len(self._streaks) > REMEMBERED_MAX:
            self._streaks.popitem(last=False)

    def _max(self, receiver_id: str) -> int:
        streak = self._streaks.get(receiver_id, 0)
        if streak <= -OVERLOADS_MAX:
            return 1
        return QUICK_RECEIVER_MAX if streak >= QUICK_MIN else RECEIVER_MAX


def _decrement(counts: Counter[str], key: str) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]
