"""How long to wait before trying again."""

import secrets

_RANDOM = secrets.SystemRandom()


def backoff_seconds(attempt: int, *, first: float, most: float, jitter: float = 0.2) -> float:
    """Returns the wait after failed attempt number `attempt` (from 1): doubling from `first` up to `most`.

    Spread by ±`jitter` (a share of the wait), so that many waiters do not come back together.
    """
    wait = min(most, first * 2.0 ** min(attempt - 1, 32))
    return wait * _RANDOM.uniform(1 - jitter, 1 + jitter)
