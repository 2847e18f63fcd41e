"""What a provider's callbacks are checked with: fetched from the provider when it is needed, and kept for a while."""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from services.common.single_flight import SingleFlight
from services.upstream.provider import UnreachableError, UpstreamError

KEPT_SECONDS_MAX = 24 * 3600.0
"""Providers ask not to keep their keys any longer."""
FETCH_INTERVAL_SECONDS = 60.0
"""A caller who forges signatures makes us fetch no more often than that."""
SKEW_SECONDS_MAX = 300
"""How far the time that a callback was signed with may be from ours."""

Key = TypeVar("Key")


class CallbackKeys(Generic[Key]):
    """Keys of one provider. `fetch` returns all that are valid now, or raises an UpstreamError."""

    def __init__(
        self, fetch: Callable[[], Awaitable[Sequence[Key]]], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._keys: Sequence[Key] = ()
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._fetching: SingleFlight[None, Sequence[Key]] = SingleFlight()

    async def prove(self, is_proven_by: Callable[[Key], bool]) -> bool:
        """Returns whether one of the keys proves something. If none does, they are fetched anew, for one may be new.

        Raises UnreachableError if there are no keys and none can be fetched now.
        """
        known = self._known()
        if known is not None and any(map(is_proven_by, known)):
            return True
        if not self._may_fetch():
            if known is None:
                raise UnreachableError("the keys of callbacks could not be fetched a moment ago")
            return False
        return any(map(is_proven_by, await self._fetching.run(None, self._fetched)))

    def _known(self) -> Sequence[Key] | None:
        is_fresh = self._fetched_at is not None and self._clock() - self._fetched_at < KEPT_SECONDS_MAX
        return self._keys if is_fresh else None

    def _may_fetch(self) -> bool:
        return self._tried_at is None or self._clock() - self._tried_at >= FETCH_INTERVAL_SECONDS

    async def _fetched(self) -> Sequence[Key]:
        try:
            self._keys = await self._fetch()
        except UpstreamError as error:
            raise UnreachableError(f"the keys of callbacks could not be fetched: {error.detail}") from error
        finally:
            self._tried_at = self._clock()
        self._fetched_at = self._tried_at
        return self._keys


def is_recent(timestamp: str, *, now: float) -> bool:
    """Returns whether a time in Unix seconds is close enough to now for a callback that was signed then."""
    is_time = timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12
    return is_time and abs(now - int(timestamp)) <= SKEW_SECONDS_MAX
