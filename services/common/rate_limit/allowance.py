"""How much may be done at once: an amount that fills up again with time."""

import time
from collections.abc import Callable


class Allowance:
    """Lets `most` be taken at once, and `per_second` for good."""

    def __init__(
        self, *, most: float, per_second: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._per_second = per_second
        self._monotonic = monotonic
        self._left = most
        self._filled_at = monotonic()

    def take(self) -> bool:
        """Takes one, if one is left."""
        now = self._monotonic()
        self._left = min(self._most, self._left + (now - self._filled_at) * self._per_second)
        self._filled_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def give_back(self) -> None:
        """Undoes a take."""
        self._left = min(self._most, self._left + 1)
