"""Wake-ups between processes over LISTEN/NOTIFY. Losing one costs at most one poll interval."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

import psycopg
from psycopg import AsyncConnection, sql

from services.common.backoff import backoff_seconds

log = logging.getLogger(__name__)

DEBOUNCE_SECONDS = 0.02
RECONNECT_SECONDS_MAX = 5.0


class Wakeups:
    """Bells by channel name. Ringing one wakes this process at once and, debounced, every other.

    NOTIFY takes a global lock at commit, so it never runs inside a business transaction: one task of this
    process sends at most one per channel and DEBOUNCE_SECONDS, on a connection of its own.
    """

    def __init__(self, channels: Iterable[str]) -> None:
        self._bells = {channel: asyncio.Event() for channel in channels}
        self._due: set[str] = set()
        self._ringing = asyncio.Event()
        self._sender_pid = 0

    def bell(self, channel: str) -> asyncio.Event:
        """Returns the event that is set when the channel rings. The waiter clears it."""
        return self._bells[channel]

    def ring(self, channel: str) -> None:
        """Wakes whoever waits for the channel, here and in other processes. Never blocks, never fails."""
        self._bells[channel].set()
        self._due.add(channel)
        self._ringing.set()

    async def send(self, connection: AsyncConnection) -> None:
        """Tells other processes what rang here, until cancelled."""
        self._sender_pid = connection.info.backend_pid
        while True:
            await self._ringing.wait()
            await asyncio.sleep(DEBOUNCE_SECONDS)
            self._ringing.clear()
            due, self._due = self._due, set()
            for channel in due:
                await connection.execute("SELECT pg_notify(%s, '')", (channel,))

    async def receive(self, connection: AsyncConnection) -> None:
        """Rings here what rang in other processes, until cancelled."""
        for channel in self._bells:
            await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        async for notice in connection.notifies():
            if notice.pid != self._sender_pid:
                self._bells[notice.channel].set()


@asynccontextmanager
async def open_wakeups(url: str, channels: Iterable[str]) -> AsyncIterator[Wakeups]:
    """Runs wake-ups on two connections of their own, reopened whenever they break."""
    wakeups = Wakeups(channels)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_keep(url, side)) for side in (wakeups.send, wakeups.receive)]
        try:
            yield wakeups
        finally:
            for task in tasks:
                task.cancel()


async def _keep(url: str, side: Callable[[AsyncConnection], Awaitable[None]]) -> None:
    failures = 0
    while True:
        try:
            async with await AsyncConnection.connect(url, autocommit=True, connect_timeout=3) as connection:
                failures = 0
                await side(connection)
        except psycopg.Error as error:
            failures += 1
            log.warning("wakeups interrupted: %s", error)
            await asyncio.sleep(backoff_seconds(failures, first=0.1, most=RECONNECT_SECONDS_MAX))
