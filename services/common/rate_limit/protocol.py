"""How processes and billing speak about calls. Moments are microseconds of billing's clock, unless named otherwise."""

from collections import Counter
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

US_PER_SECOND = 1_000_000
WINDOW_SECONDS = 60
WINDOW_US = WINDOW_SECONDS * US_PER_SECOND
"""A slot is used at most once in any window of this length."""
HORIZON_US = US_PER_SECOND
"""Slots are leased this long before they are free, so that they can be used the moment they are."""
MOMENTS_MAX = 1_000
"""In one list. Of a key with more calls than that, those of an eighth of a second are counted together."""
GRID_US = US_PER_SECOND // 8
KEYS_PER_REQUEST_MAX = 500

Moments = tuple[tuple[int, int], ...]
"""Pairs of a moment and a count above 0, earliest first. A slot that has been free for long has the moment 0."""


@dataclass(frozen=True, kw_only=True)
class CallReport:
    """What a process did with its lease of a key, and what it needs."""

    key_id: str
    answered_turn: int
    """Turn of the last request for the key whose answer the process knows; 0: none."""
    used: Moments
    """Since that answer came."""
    kept_count: int
    """How many slots it goes on using, those that are free first. All others that it did not use it returned."""
    wanted_count: int
    """How many it needs, with those it keeps."""
    takes_share: bool
    """Whether it is given more than that where many are free. If not, and it needs none, the lease ends."""


@dataclass(frozen=True, kw_only=True)
class CallLease:
    """The slots of a key that a process may use, instead of all it had before."""

    slots: Moments
    until_us: int
    """From then on they count as used."""
    calls_per_minute: int
    free_count: int
    """Calls that the key has left, over all processes."""
    next_free_us: int
    """When it has more. 0: when calls are made that can become old."""
    spare_count: int
    """How many more slots could have been leased."""
    elsewhere_count: int
    """How many slots other processes have and have not used."""


@dataclass(frozen=True, kw_only=True)
class Leased:
    """The answer to a request."""

    now_us: int
    """Billing's clock at some moment between the request and its answer."""
    leases: Mapping[str, CallLease]
    """By key. One is missing if there is no such key, or if a later request overtook this one."""


class LeaseCalls(Protocol):
    """Asks billing for slots. `turn` counts the requests of a holder."""

    def __call__(self, holder: str, turn: int, reports: Sequence[CallReport]) -> Awaitable[Leased]:
        """Returns what is leased. May raise anything; then it is not known whether it was."""


def moments_of(moments: Iterable[tuple[int, int]]) -> Moments:
    """Returns them in order and each once; when there are too many, rounded up to a grid. Never earlier."""
    counted = Counter[int]()
    for moment, count in moments:
        counted[moment] += count
    if len(counted) > MOMENTS_MAX:
        return moments_of((-(-moment // GRID_US) * GRID_US, count) for moment, count in counted.items())
    return tuple(sorted((moment, count) for moment, count in counted.items() if count > 0))


def count_of(moments: Iterable[tuple[int, int]]) -> int:
    """Returns of how many slots they are."""
    return sum(count for _, count in moments)


def split_moments(moments: Moments, count: int) -> tuple[Moments, Moments]:
    """Returns those of the first `count` slots, and the rest."""
    first: list[tuple[int, int]] = []
    rest: list[tuple[int, int]] = []
    left = count
    for moment, held in moments:
        taken = min(held, left)
        left -= taken
        if taken:
            first.append((moment, taken))
        if held > taken:
            rest.append((moment, held - taken))
    return tuple(first), tuple(rest)
