"""Calls that wait for a listener to be told something: many callers, one reader."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from services.common.auth.authentication import Credential, key_refused
from services.common.loop import Duty, performing
from services.webhooks.domain import HeardPage, Owner
from services.webhooks.store.listeners import LATE_SECONDS, NOTED_MAX, SqlListeners

WAITING_MAX = 1_000
"""Listeners that calls of one process wait for. Further calls are answered at once."""
BACKSTOP_SECONDS = 1.0
"""How late at the most a waiting call sees what was not published to its process."""
KEY_SECONDS = 0.5
"""How often a waiting call asks whether its key still works. What is known of a key is itself up to 4 seconds old."""
NOTE_SECONDS = 30.0
"""How often the listeners that were read are noted, so that reading one writes nothing."""
assert NOTE_SECONDS < LATE_SECONDS, "a listener that is read does not end before that is noted"


@dataclass(frozen=True, kw_only=True)
class ReadRequest:
    """What a caller wants to read of which listener, and on whose behalf."""

    listener_id: str
    owner: Owner
    after: int
    limit: int
    credential: Credential
    """What authenticated the caller."""


class _Wait:
    """One call that waits."""

    def __init__(self, seen: int) -> None:
        self.seen = seen
        self.is_over = asyncio.Event()


class ListenerWatch:
    """Wakes calls when their listener is told something. One call waits for a listener: the next one ends its wait."""

    def __init__(self, listeners: SqlListeners) -> None:
        self._listeners = listeners
        self._waits: dict[str, _Wait] = {}
        self._read: set[str] = set()
        self._is_open = True

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Looks after waiting calls until the block ends."""
        look = Duty("told", self.look, idle_seconds=BACKSTOP_SECONDS)
        note = Duty("note-read", self.note_read, idle_seconds=NOTE_SECONDS)
        async with performing(look, note):
            yield

    async def read(self, wanted: ReadRequest, *, seconds: float) -> HeardPage:
        """Returns what comes after a place as soon as there is something, or nothing after `seconds` or sooner.

        Refuses with LISTENER_NOT_FOUND, or with KEY_INVALID once the caller's key has stopped working.
        """
        page = await self._page(wanted)
        if page.heard or seconds <= 0:
            return page
        async with self._waiting(wanted.listener_id, seen=wanted.after) as is_over:
            await _until(is_over, seconds=seconds, credential=wanted.credential)
        return await self._page(wanted)

    async def _page(self, wanted: ReadRequest) -> HeardPage:
        page = await self._listeners.page(
            wanted.listener_id, owner=wanted.owner, after=wanted.after, limit=wanted.limit
        )
        self._read.add(wanted.listener_id)
        return page

    @asynccontextmanager
    async def _waiting(self, listener_id: str, *, seen: int) -> AsyncIterator[asyncio.Event]:
        """Yields what is set when the listener has more than what was seen, or when the wait must end."""
        wait = _Wait(seen)
        if before := self._waits.get(listener_id):
            before.is_over.set()
        elif len(self._waits) >= WAITING_MAX:
            wait.is_over.set()
        if not self._is_open:
            wait.is_over.set()
        self._waits[listener_id] = wait
        try:
            yield wait.is_over
        finally:
            if self._waits.get(listener_id) is wait:
                del self._waits[listener_id]

    def receive(self, listener_ids: Collection[str]) -> None:
        """Takes note of listeners that were published as told."""
        for listener_id in self._waits.keys() & listener_ids:
            self._waits[listener_id].is_over.set()

    def release(self) -> None:
        """Ends all waits, those of now and those to come: the process stops."""
        self._is_open = False
        self.receive(self._waits.keys())

    async def look(self) -> int:
        """Wakes calls whose listener was told without being published here. Returns 0: one round is enough."""
        if self._waits:
            self.receive(await self._listeners.told({key: wait.seen for key, wait in self._waits.items()}))
        return 0

    async def note_read(self) -> int:
        """Lets the listeners that were read last longer. Returns how many there were."""
        batch = [self._read.pop() for _ in range(min(len(self._read), NOTED_MAX))]
        if batch:
            await self._listeners.note_read(batch)
        return len(batch)


async def _until(is_over: asyncio.Event, *, seconds: float, credential: Credential) -> None:
    clock = asyncio.get_running_loop().time
    deadline = clock() + seconds
    while not is_over.is_set() and (left := deadline - clock()) > 0:
        with suppress(TimeoutError):
            async with asyncio.timeout(min(left, KEY_SECONDS)):
                await is_over.wait()
        if not await credential.works():
            raise key_refused()
